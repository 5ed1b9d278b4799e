-- Note until when new jobs may be started. Fills the primary key of expiry.
COPY farm.expiry (shard, expires_at, job_id) FROM STDIN (FORMAT binary)
