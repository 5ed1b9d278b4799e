-- Look at the open positions of the next leases, and pick jobs of some classes (null: of all) and a task, that run, do not run yet, or
-- either, as far as heartbeats tell: the number of leases, the last one, and the picked. Served by the primary keys of lease and job.
WITH page AS MATERIALIZED (
    SELECT l.id, l.job_ids, l.done
    FROM farm.lease AS l
    WHERE l.shard = 0 AND l.id > %(above_id)s::bigint
    ORDER BY l.id
    LIMIT %(leases_max)s::int
),
held AS MATERIALIZED (
    SELECT u.job_id, u.job_id = ANY (coalesce(h.running, '{}')) AS runs
    FROM page AS p
    CROSS JOIN LATERAL unnest(p.job_ids) WITH ORDINALITY AS u (job_id, position)
    LEFT JOIN farm.heartbeat AS h ON h.host_id = (p.id >> 32)::int
    WHERE get_bit(p.done, (u.position - 1)::int) = 0
)
SELECT
    (SELECT count(*)::int FROM page AS p),
    (SELECT max(p.id) FROM page AS p),
    array_agg(h.job_id ORDER BY h.job_id) FILTER (WHERE
        CASE WHEN h.runs THEN %(running)s::boolean ELSE %(claimed)s::boolean END
        AND (
            (%(class_ids)s::int[] IS NULL AND %(task)s::text IS NULL)
            OR EXISTS (
                SELECT
                FROM farm.job AS j
                WHERE j.shard = 0 AND j.id = h.job_id
                    AND (%(class_ids)s::int[] IS NULL OR j.class_id = ANY (%(class_ids)s::int[]))
                    AND (%(task)s::text IS NULL OR j.task LIKE %(task)s::text)
            )
        )
    )
FROM held AS h
