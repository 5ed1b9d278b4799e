-- List jobs that have failed, in the order of their ids above one: of a queue, that ended since a time (null: any). Served by the index of unsuccessful results and the primary key of job.
SELECT r.job_id, j.task
FROM farm.result AS r
CROSS JOIN LATERAL (
    SELECT j.class_id, j.task FROM farm.job AS j WHERE j.shard = 0 AND j.id = r.job_id OFFSET 0
) AS j
WHERE r.shard = 0
    AND r.job_id > %(above_id)s::bigint
    AND r.status = 2
    AND (%(since)s::timestamptz IS NULL OR r.finished_at >= %(since)s::timestamptz)
    AND (
        %(queue)s::text IS NULL
        OR j.class_id = ANY (ARRAY(SELECT c.id FROM farm.class AS c WHERE c.shard = 0 AND c.queue = %(queue)s::text))
    )
ORDER BY r.job_id
LIMIT %(limit)s::int
