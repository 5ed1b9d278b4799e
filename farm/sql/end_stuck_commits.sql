-- End the connections of writers that have waited in an open transaction for words of their client, longer than a writer waits for
-- anything: it is gone, or stands still, and holds leases. No timeout of PostgreSQL ends a COPY that waits for its rows. A small view;
-- materialized, so that none is ended before all has been looked at.
WITH stuck AS MATERIALIZED (
    SELECT a.pid
    FROM pg_stat_activity AS a
    WHERE a.datname = current_database()
        AND a.usename = current_user
        AND EXISTS (
            SELECT
            FROM pg_locks AS k
            WHERE k.pid = a.pid AND k.locktype = 'relation' AND k.relation = 'farm.lease'::regclass AND k.mode = 'RowShareLock'
        )
        AND a.wait_event = 'ClientRead'
        AND a.xact_start < now() - make_interval(secs => %(older_than_s)s::float8)
)
SELECT s.pid, pg_terminate_backend(s.pid)
FROM stuck AS s
