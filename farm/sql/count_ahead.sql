-- Count what is claimed before a job of its queue: jobs of a more urgent priority, and older ones of its class and priority, up to
-- 10,001 each. Served by the primary keys of ready and returned, backwards from the job, so that what was claimed long ago and is not
-- yet cleaned up is walked over only where little is in front of it.
WITH place AS MATERIALIZED (
    SELECT j.id, j.class_id, j.priority, c.queue, again.seq
    FROM farm.job AS j
    JOIN farm.class AS c ON c.shard = 0 AND c.id = j.class_id
    LEFT JOIN LATERAL (SELECT r.seq FROM farm.returned AS r WHERE r.shard = 0 AND r.job_id = j.id) AS again ON true
    WHERE j.shard = 0 AND j.id = %(job_id)s::bigint
)
SELECT
    (
        SELECT count(*)
        FROM (
            SELECT
            FROM farm.class AS c
            CROSS JOIN LATERAL (
                (SELECT FROM farm.returned AS r WHERE r.shard = 0 AND r.class_id = c.id AND r.priority < p.priority LIMIT 10001)
                UNION ALL
                (SELECT FROM farm.ready AS r WHERE r.shard = 0 AND r.class_id = c.id AND r.priority < p.priority LIMIT 10001)
            ) AS urgent
            WHERE c.shard = 0 AND c.queue = p.queue
            LIMIT 10001
        ) AS counted
    ) AS more_urgent,
    (
        SELECT count(*)
        FROM (
            (
                SELECT
                FROM farm.returned AS r
                WHERE r.shard = 0 AND r.class_id = p.class_id AND r.priority = p.priority AND (p.seq IS NULL OR r.seq < p.seq)
                ORDER BY r.seq DESC
                LIMIT 10001
            )
            UNION ALL
            (
                SELECT
                FROM farm.ready AS r
                WHERE r.shard = 0 AND r.class_id = p.class_id AND r.priority = p.priority AND p.seq IS NULL AND r.job_id < p.id
                ORDER BY r.job_id DESC
                LIMIT 10001
            )
            LIMIT 10001
        ) AS counted
    ) AS older
FROM place AS p
