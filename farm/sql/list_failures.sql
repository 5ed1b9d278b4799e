-- List the attempts of a job that did not succeed, and its retries by hand, in their order. Served by the primary key of failure.
SELECT f.attempt, f.kind, f.error, f.started_at, f.finished_at, f.peak_bytes, h.name AS host
FROM farm.failure AS f
LEFT JOIN farm.host AS h ON h.id = (f.lease_id >> 32)::int
WHERE f.shard = 0 AND f.job_id = %(job_id)s::bigint
ORDER BY f.finished_at, f.attempt
