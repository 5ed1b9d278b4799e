-- The jobs of farm that have not succeeded, by their numbers, and whether they are at their end all the same. Reads everything.
SELECT (j.args ->> 'n')::int, r.job_id IS NOT NULL
FROM farm.job AS j
LEFT JOIN farm.result AS r ON r.shard = j.shard AND r.job_id = j.id
WHERE r.status IS DISTINCT FROM 1
