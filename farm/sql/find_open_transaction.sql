-- Find the transaction of this database that has been open for longest, if that is long: what it could still see cannot be cleaned up.
-- Those prepared for a commit in two phases are among them, without a pid. Of others a user without pg_read_all_stats sees nothing.
SELECT o.pid, o.who, o.age_s
FROM (
    SELECT a.pid, coalesce(nullif(a.application_name, ''), a.usename::text, '?') AS who, extract(epoch FROM now() - a.xact_start)::float8 AS age_s
    FROM pg_stat_activity AS a
    WHERE a.datname = current_database() AND a.backend_type = 'client backend' AND coalesce(a.backend_xmin, a.backend_xid) IS NOT NULL
    UNION ALL
    SELECT NULL, 'prepared ' || left(p.gid, 40), extract(epoch FROM now() - p.prepared)::float8
    FROM pg_prepared_xacts AS p
    WHERE p.database = current_database()
) AS o
WHERE o.age_s >= %(older_than_s)s::float8
ORDER BY o.age_s DESC
LIMIT 1
