-- Put jobs of a commit back, to be claimed again at once, and wake the lanes that sleep. Served by the primary key of job; the
-- bounds let the planner leave out partitions.
WITH again AS (
    INSERT INTO farm.returned (shard, class_id, priority, job_id, attempt, lost)
    SELECT 0, j.class_id, j.priority, u.job_id, u.attempt, u.lost
    FROM unnest(%(returned_ids)s::bigint[], %(returned_attempts)s::smallint[], %(returned_losts)s::smallint[]) AS u (job_id, attempt, lost)
    CROSS JOIN LATERAL (
        SELECT j.class_id, j.priority
        FROM farm.job AS j
        WHERE j.shard = 0 AND j.id = u.job_id AND j.id BETWEEN %(returned_lowest)s::bigint AND %(returned_highest)s::bigint
        OFFSET 0
    ) AS j
    RETURNING class_id
)
SELECT farm.wake(array_agg(DISTINCT a.class_id)) FROM again AS a
