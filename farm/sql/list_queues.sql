-- List the queues with what waits in them, counting up to 10,001 jobs of a class, the memory classes of these jobs, and the age of
-- the oldest. Served by the primary keys of ready, returned and job: a count that stops, and the first entry of each priority, or
-- the first hundred where jobs came back in any order.
SELECT
    c.queue,
    sum(fresh.n + again.n)::bigint AS ready,
    bool_or(fresh.n > 10000 OR again.n > 10000) AS ready_at_least,
    array_agg(DISTINCT c.memory_mb) FILTER (WHERE fresh.n + again.n > 0) AS memory_mb,
    extract(epoch FROM now() - min(oldest.created_at))::float8 AS oldest_age_s
FROM farm.class AS c
CROSS JOIN LATERAL (
    SELECT count(*) AS n FROM (SELECT FROM farm.ready AS r WHERE r.shard = 0 AND r.class_id = c.id LIMIT 10001) AS counted
) AS fresh
CROSS JOIN LATERAL (
    SELECT count(*) AS n FROM (SELECT FROM farm.returned AS r WHERE r.shard = 0 AND r.class_id = c.id LIMIT 10001) AS counted
) AS again
CROSS JOIN LATERAL (
    SELECT min(j.created_at) AS created_at
    FROM generate_series(0, 9) AS p (priority)
    CROSS JOIN LATERAL (
        (
            SELECT r.job_id
            FROM farm.ready AS r
            WHERE r.shard = 0 AND r.class_id = c.id AND r.priority = p.priority
            ORDER BY r.job_id
            LIMIT 1
        )
        UNION ALL
        (
            SELECT min(early.job_id)
            FROM (
                SELECT r.job_id
                FROM farm.returned AS r
                WHERE r.shard = 0 AND r.class_id = c.id AND r.priority = p.priority
                ORDER BY r.seq
                LIMIT 100
            ) AS early
        )
    ) AS first
    CROSS JOIN LATERAL (SELECT j.created_at FROM farm.job AS j WHERE j.shard = 0 AND j.id = first.job_id OFFSET 0) AS j
    WHERE fresh.n + again.n > 0
) AS oldest
WHERE c.shard = 0
GROUP BY c.queue
HAVING sum(fresh.n + again.n) > 0
ORDER BY c.queue
