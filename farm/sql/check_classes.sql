-- Jobs that wait under another class or priority than their own, where no look by id would find them. Reads the waiting rows whole.
SELECT w.job_id, 'waits under another class or priority than its own'
FROM (
    SELECT r.job_id, r.class_id, r.priority FROM farm.ready AS r WHERE r.shard = 0
    UNION ALL
    SELECT r.job_id, r.class_id, r.priority FROM farm.returned AS r WHERE r.shard = 0
    UNION ALL
    SELECT s.job_id, s.class_id, s.priority FROM farm.scheduled AS s WHERE s.shard = 0
) AS w
JOIN farm.job AS j ON j.id = w.job_id
WHERE j.class_id <> w.class_id
    OR j.priority <> w.priority
    OR NOT EXISTS (SELECT FROM farm.class AS c WHERE c.shard = 0 AND c.id = j.class_id)
ORDER BY 1
LIMIT 100
