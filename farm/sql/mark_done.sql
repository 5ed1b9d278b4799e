-- Set the bits of the positions that a commit settled in leases that stay. Served by the primary key of lease.
UPDATE farm.lease AS l
SET done = u.done
FROM unnest(%(marked_ids)s::bigint[], %(bits)s::bytea[]) AS u (id, done)
WHERE l.shard = 0 AND l.id = u.id
