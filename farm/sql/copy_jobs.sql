-- Store new jobs. Fills the primary key of job.
COPY farm.job (id, class_id, priority, max_attempts, timeout_ms, run_at, task, args) FROM STDIN (FORMAT binary)
