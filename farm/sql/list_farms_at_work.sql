-- List the hosts that have given a sign of life within so many seconds. A small table, read whole.
SELECT h.name, h.instance
FROM farm.heartbeat AS b
JOIN farm.host AS h ON h.id = b.host_id
WHERE b.state = 'live' AND b.beat_at > now() - make_interval(secs => %(within_s)s::float8)
ORDER BY h.id
