-- Drop leases in which every position is settled. Served by the primary key of lease.
DELETE FROM farm.lease AS l
WHERE l.shard = 0 AND l.id = ANY (%(full_ids)s::bigint[])
