-- How many jobs have succeeded after a failed attempt, and how long one of them waited at the longest, from the end of that attempt to
-- the start of the next. Reads every failure, and the results by their keys.
SELECT count(*), coalesce(max(extract(epoch FROM r.started_at - f.finished_at)), 0)::float8
FROM farm.failure AS f
JOIN farm.result AS r ON r.shard = f.shard AND r.job_id = f.job_id
WHERE f.shard = 0 AND r.status = 1 AND r.attempt = f.attempt + 1
