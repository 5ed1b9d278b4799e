-- Count the crashes of jobs so far, those before a retry by hand left out: its row says how many they were. Served by the primary key of
-- failure.
SELECT
    f.job_id,
    (
        count(*) FILTER (WHERE f.kind IN ('crashed', 'memory'))
        - coalesce(max((f.error ->> 'crashes')::int) FILTER (WHERE f.kind = 'retried'), 0)
    )::int
FROM farm.failure AS f
WHERE f.shard = 0
    AND f.job_id BETWEEN %(lowest_id)s::bigint AND %(highest_id)s::bigint
    AND f.job_id = ANY (%(job_ids)s::bigint[])
    AND f.kind IN ('crashed', 'memory', 'retried')
GROUP BY f.job_id
