-- List the hosts that live or were retired within the last hour, in short. Small tables, read whole.
SELECT h.id, h.name, h.instance, b.state = 'live', cardinality(b.running), extract(epoch FROM now() - b.beat_at)::float8
FROM farm.heartbeat AS b
JOIN farm.host AS h ON h.id = b.host_id
ORDER BY h.id
