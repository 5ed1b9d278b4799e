-- Store new jobs, of which some have options that few have. Fills the primary key of job.
COPY farm.job (
    retry_base_ms, retry_cap_ms, expires_at, traceparent, class_id, priority, max_attempts, timeout_ms, run_at, task, args, id
) FROM STDIN (FORMAT binary)
