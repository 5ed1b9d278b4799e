-- List the newest jobs that are scheduled or retrying: their ids first, from the end of the index of scheduled by job, then what the
-- view shows.
WITH picked AS MATERIALIZED (
    SELECT s.job_id AS id
    FROM farm.scheduled AS s
    WHERE s.shard = 0 AND (s.attempt > 0) = (%(state)s::text = 'retrying') AND (
        %(queue)s::text IS NULL
        OR s.class_id = ANY (ARRAY(SELECT c.id FROM farm.class AS c WHERE c.shard = 0 AND c.queue = %(queue)s::text))
    )
    ORDER BY s.job_id DESC
    LIMIT %(limit)s::int
)
SELECT
    j.id, j.queue, j.runner, j.task, j.args, j.priority, j.state, j.attempt, j.max_attempts, j.run_at, j.created_at, j.started_at,
    j.finished_at, j.host, j.result, j.error, j.peak_bytes
FROM farm.jobs AS j
WHERE j.id = ANY (ARRAY(SELECT p.id FROM picked AS p))
    AND j.state = %(state)s::text
ORDER BY j.id DESC
