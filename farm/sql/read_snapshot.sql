-- Tell what is committed by now, as a snapshot, and when that is. Serves no index.
SELECT pg_current_snapshot()::text, clock_timestamp()
