-- Find the newest job that has its result; 0 if there is none. Served by the primary key of result.
SELECT coalesce(max(r.job_id), 0) FROM farm.result AS r WHERE r.shard = 0
