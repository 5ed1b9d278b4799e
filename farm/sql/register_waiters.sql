-- Read how these jobs have ended, and ask to be told of those that have not; with `first`, also tell the writers that somebody waits. In
-- one statement, so who ends meanwhile may be told of by nobody: who waits looks again. Served by the primary keys of job, result and
-- waiter; the bounds leave out partitions.
WITH asked AS MATERIALIZED (
    SELECT j.id, r.status, r.attempt, r.value::text AS value, r.error::text AS error
    FROM farm.job AS j
    LEFT JOIN farm.result AS r
        ON r.shard = 0 AND r.job_id = j.id AND r.job_id BETWEEN %(lowest_id)s::bigint AND %(highest_id)s::bigint
    WHERE j.shard = 0
        AND j.id BETWEEN %(lowest_id)s::bigint AND %(highest_id)s::bigint
        AND j.id = ANY (%(job_ids)s::bigint[])
),
new AS (
    INSERT INTO farm.waiter AS w (shard, job_id, pid)
    SELECT 0, a.id, pg_backend_pid()
    FROM asked AS a
    WHERE a.status IS NULL
    ON CONFLICT DO NOTHING
)
SELECT a.id, a.status, a.attempt, a.value, a.error, (SELECT pg_notify('farm_wake', 'waiters') WHERE %(first)s::boolean)
FROM asked AS a
