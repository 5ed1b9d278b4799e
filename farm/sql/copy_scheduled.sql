-- File new jobs that are due later. Fills the indexes of scheduled.
COPY farm.scheduled (shard, run_at, class_id, priority, attempt, lost, job_id) FROM STDIN (FORMAT binary)
