-- Count what is on its way: claimed and not yet settled, running by the last heartbeats, and due later (up to 10,001). Served by the
-- primary key of scheduled; leases and heartbeats are few and read whole.
SELECT
    (SELECT coalesce(sum(l.n - bit_count(l.done)), 0)::bigint FROM farm.lease AS l WHERE l.shard = 0) AS claimed,
    (SELECT coalesce(sum(cardinality(b.running)), 0)::bigint FROM farm.heartbeat AS b WHERE b.state = 'live') AS running,
    (SELECT count(*) FROM (SELECT FROM farm.scheduled AS s WHERE s.shard = 0 LIMIT 10001) AS counted) AS scheduled,
    (
        SELECT extract(epoch FROM s.run_at - now())::float8
        FROM farm.scheduled AS s
        WHERE s.shard = 0
        ORDER BY s.run_at
        LIMIT 1
    ) AS next_due_s
