-- Take the turn to count how deep the queues are, for so many seconds at the most; no row: somebody else has it. Served by the primary key.
UPDATE farm.depth AS d
SET due_at = clock_timestamp() + make_interval(secs => %(turn_s)s::float8)
WHERE d.shard = 0 AND d.due_at <= clock_timestamp()
RETURNING d.shard
