-- The oldest transaction of somebody else that is at work on the tables of jobs, their partitions or what is to become one of them. Served by
-- no index: looks at the server's locks and sessions.
SELECT a.pid, coalesce(nullif(a.application_name, ''), a.usename::text, a.backend_type), extract(epoch FROM clock_timestamp() - a.xact_start)::float8
FROM pg_locks AS l
JOIN pg_class AS c ON c.oid = l.relation AND c.relnamespace = 'farm'::regnamespace
JOIN pg_stat_activity AS a ON a.pid = l.pid AND a.xact_start IS NOT NULL
WHERE l.granted
    AND l.pid <> pg_backend_pid()
    AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
    AND c.relname ~ '^(job|result|failure)(_p[0-9]+(r[0-9]+)?)?$'
ORDER BY a.xact_start
LIMIT 1
