-- Take the number of a transaction: above those of all that have written anything so far. Serves no index.
SELECT pg_current_xact_id()::text::bigint
