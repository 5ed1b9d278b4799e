-- File new jobs to be claimed at once. Fills the primary key of ready.
COPY farm.ready (shard, class_id, priority, job_id) FROM STDIN (FORMAT binary)
