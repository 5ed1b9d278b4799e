-- Read how many attempts jobs were given. Served by the primary key of job.
SELECT j.id, j.max_attempts
FROM farm.job AS j
WHERE j.shard = 0
    AND j.id BETWEEN %(lowest_id)s::bigint AND %(highest_id)s::bigint
    AND j.id = ANY (%(job_ids)s::bigint[])
    AND j.max_attempts IS NOT NULL
