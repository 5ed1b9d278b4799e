-- Store the attempts that did not succeed. Fills the primary key of failure.
COPY farm.failure (job_id, lease_id, started_at, finished_at, attempt, peak_bytes, kind, error, log) FROM STDIN (FORMAT binary)
