-- List hosts that hold leases and do not live, hopping from host to host over the primary key of lease.
WITH RECURSIVE holder (host_id) AS (
    (SELECT l.id >> 32 FROM farm.lease AS l WHERE l.shard = 0 ORDER BY l.id LIMIT 1)
    UNION ALL
    SELECT (
        SELECT l.id >> 32
        FROM farm.lease AS l
        WHERE l.shard = 0 AND l.id >= (holder.host_id + 1) << 32
        ORDER BY l.id
        LIMIT 1
    )
    FROM holder
    WHERE holder.host_id IS NOT NULL
)
SELECT holder.host_id
FROM holder
WHERE holder.host_id IS NOT NULL
    AND NOT EXISTS (SELECT FROM farm.heartbeat AS h WHERE h.host_id = holder.host_id AND h.state = 'live')
ORDER BY holder.host_id
