-- The jobs of Graphile Worker that have not succeeded, by their numbers, and whether they are at their end all the same. What has
-- succeeded is deleted. Reads everything.
SELECT (j.payload ->> 'n')::int, j.attempts >= j.max_attempts AND j.locked_at IS NULL
FROM graphile_worker._private_jobs AS j
