-- Count the jobs of one queue that can be claimed at once. Reads all of them.
SELECT count(*)
FROM farm.ready AS r
WHERE r.shard = 0 AND r.class_id IN (SELECT c.id FROM farm.class AS c WHERE c.queue = %(queue)s)
