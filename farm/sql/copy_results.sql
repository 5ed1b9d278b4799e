-- Store final outcomes. Fills the primary key of result and its index of unsuccessful jobs.
COPY farm.result (job_id, started_at, finished_at, lease_id, status, attempt, peak_bytes, error, log, value) FROM STDIN (FORMAT binary)
