-- Lock the leases of a commit, in the order of their ids so that two commits cannot deadlock: the fence. A lease that does not come
-- back is gone, and every job in it was settled. Also tells the database's clock, in microseconds since 2000. Served by the primary
-- key of lease.
SELECT
    l.id,
    l.n,
    l.done,
    l.attempts,
    l.losts,
    (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - 946684800000000
FROM farm.lease AS l
WHERE l.shard = 0 AND l.id = ANY (%(lease_ids)s::bigint[])
ORDER BY l.id
FOR UPDATE
