-- Read what jobs have asked for themselves, for when they fail. Served by the primary key of job.
SELECT j.id, j.task, j.max_attempts, j.retry_base_ms, j.retry_cap_ms
FROM farm.job AS j
WHERE j.shard = 0
    AND j.id BETWEEN %(lowest_id)s::bigint AND %(highest_id)s::bigint
    AND j.id = ANY (%(job_ids)s::bigint[])
