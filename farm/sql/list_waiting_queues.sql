-- List the queues in which anything waits. Served by the primary keys of ready and returned, one look for each class.
SELECT DISTINCT c.queue
FROM farm.class AS c
WHERE c.shard = 0
    AND (
        EXISTS (SELECT FROM farm.ready AS r WHERE r.shard = 0 AND r.class_id = c.id OFFSET 0)
        OR EXISTS (SELECT FROM farm.returned AS r WHERE r.shard = 0 AND r.class_id = c.id OFFSET 0)
    )
