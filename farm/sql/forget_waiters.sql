-- Ask no longer to be told of these jobs. Served by the primary key of waiter.
DELETE FROM farm.waiter AS w
WHERE w.shard = 0 AND w.job_id = ANY (%(job_ids)s::bigint[]) AND w.pid = pg_backend_pid()
