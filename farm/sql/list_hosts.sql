-- List the hosts that live, or were retired within the last hour. Small tables, read whole.
SELECT
    h.id,
    h.name,
    h.instance,
    b.state,
    extract(epoch FROM now() - b.beat_at)::float8 AS beat_age_s,
    cardinality(b.running) AS running,
    h.capacity,
    h.memory_bytes,
    h.version,
    h.started_at,
    h.runners,
    b.paused_queues,
    h.lanes,
    b.lanes AS lane_states
FROM farm.heartbeat AS b
JOIN farm.host AS h ON h.id = b.host_id
ORDER BY b.state, h.id
