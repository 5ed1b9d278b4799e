-- Look at the next jobs of `returned`, and pick those of some classes (null: of all) and a task: as page_ready. Served by the key by job
-- of returned and the primary key of job.
WITH page AS MATERIALIZED (
    SELECT r.job_id, r.class_id
    FROM farm.returned AS r
    WHERE r.shard = 0 AND r.job_id > %(above_id)s::bigint
    ORDER BY r.job_id
    LIMIT %(jobs_max)s::int
)
SELECT
    count(*)::int,
    max(p.job_id),
    array_agg(p.job_id ORDER BY p.job_id) FILTER (WHERE
        (%(class_ids)s::int[] IS NULL OR p.class_id = ANY (%(class_ids)s::int[]))
        AND (
            %(task)s::text IS NULL
            OR EXISTS (SELECT FROM farm.job AS j WHERE j.shard = 0 AND j.id = p.job_id AND j.task LIKE %(task)s::text)
        )
    )
FROM page AS p
