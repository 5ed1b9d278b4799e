-- Count the leases of a host. Served by the primary key of lease.
SELECT count(*)
FROM farm.lease AS l
WHERE l.shard = 0
    AND l.id >= %(host_id)s::bigint << 32
    AND l.id < (%(host_id)s::bigint + 1) << 32
