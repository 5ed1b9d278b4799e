-- List the newest jobs that ended in one way: their ids first, from the end of the primary key of result or of its index of
-- unsuccessful jobs, then what the view shows.
WITH picked AS MATERIALIZED (
    SELECT r.job_id AS id
    FROM farm.result AS r
    WHERE r.shard = 0
        AND r.status = %(status)s::smallint
        AND (
            %(queue)s::text IS NULL
            OR (SELECT j.class_id FROM farm.job AS j WHERE j.shard = 0 AND j.id = r.job_id)
                = ANY (ARRAY(SELECT c.id FROM farm.class AS c WHERE c.shard = 0 AND c.queue = %(queue)s::text))
        )
        AND (%(queue)s::text IS NULL OR EXISTS (SELECT FROM farm.class AS c WHERE c.shard = 0 AND c.queue = %(queue)s::text))
    ORDER BY r.job_id DESC
    LIMIT %(limit)s::int
)
SELECT
    j.id, j.queue, j.runner, j.task, j.args, j.priority, j.state, j.attempt, j.max_attempts, j.run_at, j.created_at, j.started_at,
    j.finished_at, j.host, j.result, j.error, j.peak_bytes
FROM farm.jobs AS j
WHERE j.id = ANY (ARRAY(SELECT p.id FROM picked AS p))
    AND j.state = %(state)s::text
ORDER BY j.id DESC
