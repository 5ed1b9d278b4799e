-- The database's time in microseconds since 2000, as rows in COPY's binary format have it.
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - 946684800000000
