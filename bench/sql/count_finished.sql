-- Say whether a job has its result, without looking at any other.
SELECT EXISTS (SELECT FROM farm.result AS r WHERE r.shard = 0 AND r.job_id = %(job_id)s::bigint)
