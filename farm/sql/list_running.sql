-- List what runs on living hosts by their last heartbeats: lane, queue, runner and task, how many, and how long the longest of them has run;
-- of up to 5,000 jobs. A lane's are those at its positions in `running`. Hosts are few and read whole; else served by the primary key of job.
SELECT r.host_id, r.lane, c.queue, c.runner, j.task, count(*) AS jobs, max(r.age_s) AS longest_s
FROM (
    SELECT b.host_id, l.lane, u.job_id, extract(epoch FROM now() - u.started_at)::float8 AS age_s
    FROM farm.heartbeat AS b
    CROSS JOIN LATERAL (
        SELECT e.key AS lane, (e.value -> 'running' ->> 0)::int AS lower, (e.value -> 'running' ->> 1)::int AS upper
        FROM jsonb_each(b.lanes) AS e
        WHERE e.value ? 'running'
    ) AS l
    CROSS JOIN LATERAL unnest(b.running[l.lower : l.upper], b.started_at[l.lower : l.upper]) AS u (job_id, started_at)
    WHERE b.state = 'live'
    LIMIT 5000
) AS r
CROSS JOIN LATERAL (SELECT j.task, j.class_id FROM farm.job AS j WHERE j.shard = 0 AND j.id = r.job_id OFFSET 0) AS j
JOIN farm.class AS c ON c.shard = 0 AND c.id = j.class_id
GROUP BY r.host_id, r.lane, c.queue, c.runner, j.task
ORDER BY r.host_id, count(*) DESC, j.task
