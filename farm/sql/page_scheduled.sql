-- Look at the next jobs of `scheduled`, and pick those of some classes (null: of all) and a task, that are new, have used an attempt, or
-- either: as page_ready. Served by the key by job of scheduled and the primary key of job.
WITH page AS MATERIALIZED (
    SELECT s.job_id, s.class_id, s.attempt
    FROM farm.scheduled AS s
    WHERE s.shard = 0 AND s.job_id > %(above_id)s::bigint
    ORDER BY s.job_id
    LIMIT %(jobs_max)s::int
)
SELECT
    count(*)::int,
    max(p.job_id),
    array_agg(p.job_id ORDER BY p.job_id) FILTER (WHERE
        CASE WHEN p.attempt = 0 THEN %(new)s::boolean ELSE %(retrying)s::boolean END
        AND (%(class_ids)s::int[] IS NULL OR p.class_id = ANY (%(class_ids)s::int[]))
        AND (
            %(task)s::text IS NULL
            OR EXISTS (SELECT FROM farm.job AS j WHERE j.shard = 0 AND j.id = p.job_id AND j.task LIKE %(task)s::text)
        )
    )
FROM page AS p
