-- File new jobs that are due later. Fills the indexes of scheduled.
COPY farm.scheduled (shard, run_at, job_id, class_id, priority, attempt, lost) FROM STDIN (FORMAT binary)
