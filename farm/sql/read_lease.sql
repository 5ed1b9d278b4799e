-- Read back what an earlier try of a claim took. Served by the primary key of lease.
SELECT l.job_ids, l.attempts, l.losts
FROM farm.lease AS l
WHERE l.shard = 0 AND l.id = %(lease_id)s::bigint
