-- Say that a lane sleeps and which classes should wake it. Served by the primary key of idle.
INSERT INTO farm.idle AS i (shard, host_id, lane, classes)
VALUES (0, %(host_id)s::int, %(lane)s::text, %(classes)s::int[])
ON CONFLICT (shard, host_id, lane) DO UPDATE SET classes = EXCLUDED.classes
