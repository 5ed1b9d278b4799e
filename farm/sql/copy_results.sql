-- Store final outcomes. Fills the primary key of result and its index of unsuccessful jobs.
COPY farm.result (job_id, lease_id, started_at, finished_at, status, attempt, error, value) FROM STDIN (FORMAT binary)
