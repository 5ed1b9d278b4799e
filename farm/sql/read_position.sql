-- Tell which job stands at a position of a lease. Served by the primary key of lease.
SELECT l.job_ids[%(position)s::int + 1]
FROM farm.lease AS l
WHERE l.shard = 0 AND l.id = %(lease_id)s::bigint
