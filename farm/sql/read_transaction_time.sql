-- The time of this transaction, in microseconds since 2000: what delays count from.
SELECT (extract(epoch FROM now()) * 1000000)::bigint - 946684800000000
