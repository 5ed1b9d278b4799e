-- Say how deep the queues are, and after how many seconds it may be counted again. Served by the primary key.
UPDATE farm.depth AS d
SET queues = %(queues)s::jsonb,
    counted_at = clock_timestamp(),
    due_at = clock_timestamp() + make_interval(secs => %(pause_s)s::float8)
WHERE d.shard = 0
