-- Look at the next jobs of `ready` of one class and priority, and pick those of a task: how many were looked at, the last one, and the
-- picked. Served by the primary keys of ready and job.
WITH page AS MATERIALIZED (
    SELECT r.job_id
    FROM farm.ready AS r
    WHERE r.shard = 0 AND r.class_id = %(class_id)s::int AND r.priority = %(priority)s::smallint AND r.job_id > %(above_id)s::bigint
    ORDER BY r.job_id
    LIMIT %(jobs_max)s::int
)
SELECT
    count(*)::int,
    max(p.job_id),
    array_agg(p.job_id ORDER BY p.job_id) FILTER (WHERE
        %(task)s::text IS NULL OR EXISTS (SELECT FROM farm.job AS j WHERE j.shard = 0 AND j.id = p.job_id AND j.task LIKE %(task)s::text)
    )
FROM page AS p
