-- Read what sleeps came to, in the order of their starts: when each was started and ended, and how long it was to take, in seconds.
-- Reads both tables whole.
SELECT extract(epoch FROM r.started_at)::float8, extract(epoch FROM r.finished_at)::float8, (j.args ->> 0)::float8
FROM farm.result AS r
JOIN farm.job AS j ON j.shard = r.shard AND j.id = r.job_id
WHERE r.status = 1
ORDER BY r.started_at
