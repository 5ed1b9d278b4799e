-- List what keeps this database from cleaning up, what does so for longest first: sessions, transactions prepared for a commit in two
-- phases, replication slots. transactions: how many have begun since. Of other sessions a user without pg_read_all_stats sees nothing, and
-- of a slot nobody knows since when (age_s is null). Views of the server's memory, and small. Slots that hold back catalogs alone
-- (logical ones) are not among them.
SELECT h.kind, h.pid, h.who, h.doing, h.age_s, h.transactions
FROM (
    SELECT
        'session' AS kind,
        a.pid,
        coalesce(nullif(a.application_name, ''), a.usename::text, '?') || coalesce(' of ' || a.usename, '') AS who,
        coalesce(a.state, a.backend_type) AS doing,
        extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, a.backend_start))::float8 AS age_s,
        greatest(age(a.backend_xmin), age(a.backend_xid)) AS transactions
    FROM pg_stat_activity AS a
    WHERE
        (a.datname = current_database() AND a.backend_type = 'client backend' OR a.backend_type = 'walsender')
        AND coalesce(a.backend_xmin, a.backend_xid) IS NOT NULL
        AND a.pid <> pg_backend_pid()
    UNION ALL
    SELECT 'prepared', NULL, left(p.gid, 40) || ' of ' || p.owner, '', extract(epoch FROM clock_timestamp() - p.prepared)::float8, age(p.transaction)
    FROM pg_prepared_xacts AS p
    WHERE p.database = current_database()
    UNION ALL
    SELECT 'slot', s.active_pid, s.slot_name::text, CASE WHEN s.active THEN 'active' ELSE 'nobody reads it' END, NULL, age(s.xmin)
    FROM pg_replication_slots AS s
    WHERE s.xmin IS NOT NULL
) AS h
ORDER BY h.transactions DESC, h.age_s DESC NULLS LAST
LIMIT 5
