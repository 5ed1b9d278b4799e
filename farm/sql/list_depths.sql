-- List every queue that a job was ever filed under, with its runners and memory classes, how deep it is, and the age of its oldest job.
-- Counts stop at 10,001; what is due later is counted among the 10,001 that are due first. Served by the primary keys of ready, returned,
-- scheduled and job: counts that stop, and the first entry of each priority, or the first hundred where jobs came back in any order.
WITH soonest AS MATERIALIZED (
    SELECT s.class_id, s.attempt > 0 AS is_retry
    FROM farm.scheduled AS s
    WHERE s.shard = 0
    ORDER BY s.run_at
    LIMIT 10001
),
later AS MATERIALIZED (
    SELECT s.class_id, count(*) FILTER (WHERE NOT s.is_retry) AS scheduled, count(*) FILTER (WHERE s.is_retry) AS retrying
    FROM soonest AS s
    GROUP BY s.class_id
),
queue AS MATERIALIZED (
    SELECT
        c.queue,
        array_agg(c.id) AS class_ids,
        array_agg(DISTINCT c.runner) AS runners,
        array_agg(DISTINCT c.memory_mb) AS memory_mb,
        coalesce(sum(l.scheduled), 0)::bigint AS scheduled,
        coalesce(sum(l.retrying), 0)::bigint AS retrying
    FROM farm.class AS c
    LEFT JOIN later AS l ON l.class_id = c.id
    WHERE c.shard = 0
    GROUP BY c.queue
)
SELECT
    q.queue,
    q.runners,
    q.memory_mb,
    depth.n AS ready,
    q.scheduled,
    q.retrying,
    (SELECT count(*) > 10000 FROM soonest AS s) AS later_at_least,
    extract(epoch FROM now() - oldest.created_at)::float8 AS oldest_age_s
FROM queue AS q
CROSS JOIN LATERAL (
    SELECT count(*) AS n
    FROM (
        SELECT
        FROM unnest(q.class_ids) AS u (class_id)
        CROSS JOIN LATERAL (
            (SELECT FROM farm.returned AS r WHERE r.shard = 0 AND r.class_id = u.class_id LIMIT 10001)
            UNION ALL
            (SELECT FROM farm.ready AS r WHERE r.shard = 0 AND r.class_id = u.class_id LIMIT 10001)
        ) AS waiting
        LIMIT 10001
    ) AS counted
) AS depth
CROSS JOIN LATERAL (
    SELECT min(j.created_at) AS created_at
    FROM unnest(q.class_ids) AS u (class_id)
    CROSS JOIN generate_series(0, 9) AS p (priority)
    CROSS JOIN LATERAL (
        (
            SELECT r.job_id
            FROM farm.ready AS r
            WHERE r.shard = 0 AND r.class_id = u.class_id AND r.priority = p.priority
            ORDER BY r.job_id
            LIMIT 1
        )
        UNION ALL
        (
            SELECT min(early.job_id)
            FROM (
                SELECT r.job_id
                FROM farm.returned AS r
                WHERE r.shard = 0 AND r.class_id = u.class_id AND r.priority = p.priority
                ORDER BY r.seq
                LIMIT 100
            ) AS early
        )
    ) AS first
    CROSS JOIN LATERAL (SELECT j.created_at FROM farm.job AS j WHERE j.shard = 0 AND j.id = first.job_id OFFSET 0) AS j
    WHERE depth.n > 0
) AS oldest
ORDER BY q.queue
