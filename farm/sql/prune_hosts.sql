-- Forget the heartbeats of hosts that were retired an hour ago and hold no lease, and what they said of progress. Their host rows stay:
-- results name them. Served by the primary keys of heartbeat, lease and progress.
WITH gone AS (
    DELETE FROM farm.heartbeat AS h
    WHERE h.state = 'retired'
        AND h.beat_at < now() - interval '1 hour'
        AND NOT EXISTS (
            SELECT FROM farm.lease AS l
            WHERE l.shard = 0 AND l.id >= h.host_id::bigint << 32 AND l.id < (h.host_id::bigint + 1) << 32
        )
    RETURNING h.host_id
),
silent AS (
    DELETE FROM farm.progress AS p
    WHERE p.shard = 0 AND p.host_id IN (SELECT g.host_id FROM gone AS g)
)
SELECT g.host_id FROM gone AS g
