-- List every class. A small table, read whole.
SELECT c.id, c.queue, c.runner, c.memory_mb
FROM farm.class AS c
WHERE c.shard = 0
