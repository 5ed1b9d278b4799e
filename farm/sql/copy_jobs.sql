-- Store new jobs. Fills the primary key of job.
COPY farm.job (class_id, priority, max_attempts, timeout_ms, run_at, task, args, id) FROM STDIN (FORMAT binary)
