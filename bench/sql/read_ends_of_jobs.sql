-- Read what every job has come to, and what its failed attempts were.
SELECT
    r.job_id, r.status, r.attempt, coalesce(r.error ->> 'type', ''), coalesce(r.error ->> 'message', ''), r.peak_bytes,
    ARRAY(SELECT f.kind FROM farm.failure AS f WHERE f.shard = 0 AND f.job_id = r.job_id)
FROM farm.result AS r
WHERE r.shard = 0
ORDER BY r.job_id
