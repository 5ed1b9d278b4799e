-- List the logs of a job's attempts, each with what tells which attempt it is of. Served by the primary keys of result and failure.
SELECT r.attempt, r.finished_at, r.log
FROM farm.result AS r
WHERE r.shard = 0 AND r.job_id = %(job_id)s::bigint AND r.log IS NOT NULL
UNION ALL
SELECT f.attempt, f.finished_at, f.log
FROM farm.failure AS f
WHERE f.shard = 0 AND f.job_id = %(job_id)s::bigint AND f.log IS NOT NULL
