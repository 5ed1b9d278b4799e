-- Put jobs of a commit off, each for a while by the database's clock, and tell whoever promotes if one of them is due before all others.
-- Served by the primary keys of job and scheduled; the bounds let the planner leave out partitions.
WITH later AS (
    INSERT INTO farm.scheduled (shard, run_at, class_id, priority, attempt, lost, job_id)
    SELECT 0, now() + u.delay_us * interval '1 microsecond', j.class_id, j.priority, u.attempt, u.lost, u.job_id
    FROM unnest(
        %(later_ids)s::bigint[], %(later_attempts)s::smallint[], %(later_losts)s::smallint[], %(delays_us)s::bigint[]
    ) AS u (job_id, attempt, lost, delay_us)
    CROSS JOIN LATERAL (
        SELECT j.class_id, j.priority
        FROM farm.job AS j
        WHERE j.shard = 0 AND j.id = u.job_id AND j.id BETWEEN %(later_lowest)s::bigint AND %(later_highest)s::bigint
        OFFSET 0
    ) AS j
    RETURNING run_at
)
SELECT farm.wake('{}', due_at => min(l.run_at)) FROM later AS l
