-- Let one migration run at a time, until the end of the transaction, and let it take its time.
SELECT pg_advisory_xact_lock(1717662317, 1)
FROM set_config('statement_timeout', '0', true) AS no_limit
WHERE no_limit = '0'
