-- List the newest jobs, whatever their state: their ids first, from the end of the primary key of job, then what the view shows.
WITH picked AS MATERIALIZED (
    SELECT j.id
    FROM farm.job AS j
    WHERE j.shard = 0 AND (
        %(queue)s::text IS NULL
        OR j.class_id = ANY (ARRAY(SELECT c.id FROM farm.class AS c WHERE c.shard = 0 AND c.queue = %(queue)s::text))
    )
    AND (%(queue)s::text IS NULL OR EXISTS (SELECT FROM farm.class AS c WHERE c.shard = 0 AND c.queue = %(queue)s::text))
    ORDER BY j.id DESC
    LIMIT %(limit)s::int
)
SELECT
    j.id, j.queue, j.runner, j.task, j.args, j.priority, j.state, j.attempt, j.max_attempts, j.run_at, j.created_at, j.started_at,
    j.finished_at, j.host, j.result, j.error, j.peak_bytes
FROM farm.jobs AS j
WHERE j.id = ANY (ARRAY(SELECT p.id FROM picked AS p))
ORDER BY j.id DESC
