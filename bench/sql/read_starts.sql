-- Read what jobs have returned, in the order of their ids: each returned the time at which it ran.
SELECT (r.value #>> '{}')::bigint
FROM farm.result AS r
WHERE r.job_id = ANY (%(job_ids)s::bigint[]) AND r.status = 1
ORDER BY r.job_id
