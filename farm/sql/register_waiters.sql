-- Ask to be told when these jobs end; with `first`, also tell the writers that somebody waits. Served by the primary key of waiter.
WITH new AS (
    INSERT INTO farm.waiter AS w (shard, job_id, pid)
    SELECT 0, u.job_id, pg_backend_pid()
    FROM unnest(%(job_ids)s::bigint[]) AS u (job_id)
    ON CONFLICT DO NOTHING
)
SELECT pg_notify('farm_wake', 'waiters')
WHERE %(first)s::boolean
