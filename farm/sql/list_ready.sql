-- List the newest jobs that are ready: their ids first, from the ends of the primary key of ready, one look for each class and
-- priority, and from the end of returned_job_id, then what the view shows.
WITH picked AS MATERIALIZED (
    SELECT found.job_id AS id
    FROM (
        (
            SELECT fresh.job_id
            FROM farm.class AS c
            CROSS JOIN generate_series(0, 9) AS p (priority)
            CROSS JOIN LATERAL (
                SELECT r.job_id
                FROM farm.ready AS r
                WHERE r.shard = 0 AND r.class_id = c.id AND r.priority = p.priority
                ORDER BY r.job_id DESC
                LIMIT %(limit)s::int
            ) AS fresh
            WHERE c.shard = 0 AND (%(queue)s::text IS NULL OR c.queue = %(queue)s::text)
        )
        UNION ALL
        (
            SELECT r.job_id
            FROM farm.returned AS r
            WHERE r.shard = 0
                AND (
                    %(queue)s::text IS NULL
                    OR r.class_id = ANY (ARRAY(SELECT c.id FROM farm.class AS c WHERE c.shard = 0 AND c.queue = %(queue)s::text))
                )
            ORDER BY r.job_id DESC
            LIMIT %(limit)s::int
        )
    ) AS found
    ORDER BY found.job_id DESC
    LIMIT %(limit)s::int
)
SELECT
    j.id, j.queue, j.runner, j.task, j.args, j.priority, j.state, j.attempt, j.max_attempts, j.run_at, j.created_at, j.started_at,
    j.finished_at, j.host, j.result, j.error, j.peak_bytes
FROM farm.jobs AS j
WHERE j.id = ANY (ARRAY(SELECT p.id FROM picked AS p))
    AND j.state = %(state)s::text
ORDER BY j.id DESC
