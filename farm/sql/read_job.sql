-- Read one job, as the view shows it, what it says of memory, time, retries and its end, and when it was read. Served by the primary keys of
-- every table.
SELECT
    j.id, j.queue, j.runner, j.task, j.args, j.priority, j.state, j.attempt, j.max_attempts, j.run_at, o.expires_at, j.created_at,
    j.started_at, j.finished_at, j.host, j.result, j.error, j.peak_bytes, o.retry_base_ms, o.retry_cap_ms, o.memory_mb, o.timeout_ms,
    clock_timestamp() AS read_at
FROM farm.jobs AS j
LEFT JOIN LATERAL (
    SELECT d.expires_at, d.retry_base_ms, d.retry_cap_ms, d.timeout_ms, c.memory_mb
    FROM farm.job AS d
    JOIN farm.class AS c ON c.shard = 0 AND c.id = d.class_id
    WHERE d.shard = 0 AND d.id = %(job_id)s::bigint
) AS o ON true
WHERE j.id = %(job_id)s::bigint
