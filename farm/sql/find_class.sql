-- Find the class of a queue and a runner, or make it. Served by the unique key of class.
SELECT farm.class_id(%(queue)s::text, %(runner)s::text)
