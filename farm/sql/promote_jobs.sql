-- Move jobs that are due from `scheduled` to `returned`, the earliest first, and wake the lanes that sleep. Returns how many were
-- moved and in how many seconds the next one is due. Served by the primary key of scheduled.
WITH due AS MATERIALIZED (
    SELECT s.ctid
    FROM farm.scheduled AS s
    WHERE s.shard = 0 AND s.run_at <= now()
    ORDER BY s.run_at, s.job_id
    LIMIT %(jobs_max)s::int
    FOR UPDATE OF s SKIP LOCKED
),
moved AS (
    DELETE FROM farm.scheduled AS s
    WHERE s.shard = 0 AND s.ctid = ANY (ARRAY(SELECT d.ctid FROM due AS d))
    RETURNING s.class_id, s.priority, s.job_id, s.attempt, s.lost
),
again AS (
    INSERT INTO farm.returned (shard, class_id, priority, job_id, attempt, lost)
    SELECT 0, m.class_id, m.priority, m.job_id, m.attempt, m.lost
    FROM moved AS m
),
woken AS MATERIALIZED (
    SELECT farm.wake(array_agg(DISTINCT m.class_id)) FROM moved AS m
)
SELECT
    (SELECT count(*) FROM moved),
    (
        SELECT extract(epoch FROM s.run_at - now())::float8
        FROM farm.scheduled AS s
        WHERE s.shard = 0 AND s.run_at > now()
        ORDER BY s.run_at
        LIMIT 1
    ),
    (SELECT count(*) FROM woken)
