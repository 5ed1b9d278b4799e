-- Read which of these jobs have ended, and how; one without a status has not. Served by the primary keys of job and result; the bounds
-- leave out partitions.
SELECT j.id, r.status, r.attempt, r.value::text, r.error::text
FROM farm.job AS j
LEFT JOIN farm.result AS r
    ON r.shard = 0 AND r.job_id = j.id AND r.job_id BETWEEN %(lowest_id)s::bigint AND %(highest_id)s::bigint
WHERE j.shard = 0
    AND j.id BETWEEN %(lowest_id)s::bigint AND %(highest_id)s::bigint
    AND j.id = ANY (%(job_ids)s::bigint[])
