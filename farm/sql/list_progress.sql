-- List what jobs have said of their progress, those that run by the last heartbeats and have no result yet. Hosts are few and read whole;
-- else served by the primary key of result.
SELECT u.job_id, u.fraction, u.text
FROM farm.progress AS p
JOIN farm.heartbeat AS b ON b.host_id = p.host_id AND b.state = 'live'
CROSS JOIN LATERAL unnest(p.job_ids, p.fractions, p.texts) AS u (job_id, fraction, text)
WHERE p.shard = 0
    AND u.job_id = ANY (%(job_ids)s::bigint[])
    AND u.job_id = ANY (b.running)
    AND NOT EXISTS (SELECT FROM farm.result AS r WHERE r.shard = 0 AND r.job_id = u.job_id OFFSET 0)
