-- Look at the next jobs that have failed, in the order of their ids above one, and tell the task of those that are of a queue and ended
-- since a time (null: any); the others have none. Served by the index of unsuccessful results and the primary key of job.
WITH page AS MATERIALIZED (
    SELECT r.job_id, r.finished_at
    FROM farm.result AS r
    WHERE r.shard = 0 AND r.job_id > %(above_id)s::bigint AND r.status = 2
    ORDER BY r.job_id
    LIMIT %(limit)s::int
)
SELECT
    p.job_id,
    (
        SELECT j.task
        FROM farm.job AS j
        WHERE j.shard = 0 AND j.id = p.job_id
            AND (%(since)s::timestamptz IS NULL OR p.finished_at >= %(since)s::timestamptz)
            AND (
                %(queue)s::text IS NULL
                OR j.class_id = ANY (ARRAY(SELECT c.id FROM farm.class AS c WHERE c.shard = 0 AND c.queue = %(queue)s::text))
            )
    )
FROM page AS p
ORDER BY p.job_id
