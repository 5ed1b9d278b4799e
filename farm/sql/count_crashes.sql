-- Count the crashes of jobs so far. Served by the primary key of failure.
SELECT f.job_id, count(*)::int
FROM farm.failure AS f
WHERE f.shard = 0
    AND f.job_id BETWEEN %(lowest_id)s::bigint AND %(highest_id)s::bigint
    AND f.job_id = ANY (%(job_ids)s::bigint[])
    AND f.kind IN ('crashed', 'memory')
GROUP BY f.job_id
