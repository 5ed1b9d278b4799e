-- Retire a host, if its beat is still the one that was seen (null: whatever it is), and forget that its lanes sleep. No row: it has
-- beaten since, or was retired before. Served by the primary keys of heartbeat, host and idle.
WITH retired AS (
    UPDATE farm.heartbeat AS h
    SET state = 'retired'
    WHERE h.host_id = %(host_id)s::int AND h.state = 'live' AND h.beat = coalesce(%(beat)s::bigint, h.beat)
    RETURNING h.host_id
),
barred AS (
    UPDATE farm.host AS o
    SET retired_at = now()
    WHERE o.id IN (SELECT r.host_id FROM retired AS r)
),
awake AS (
    DELETE FROM farm.idle AS i
    WHERE i.shard = 0 AND i.host_id IN (SELECT r.host_id FROM retired AS r)
)
SELECT r.host_id FROM retired AS r
