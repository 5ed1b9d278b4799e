-- Find the class of a queue, a runner and a memory class, or make it. Served by the unique key of class.
SELECT farm.class_id(%(queue)s::text, %(runner)s::text, %(memory_mb)s::int)
