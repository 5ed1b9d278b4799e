-- Copy the next jobs of a partition that are to stay. Served by the primary keys of job, result and failure, within that partition.
SELECT state, wait_s, jobs, kept, done
FROM farm.go_on_pruning(%(jobs_max)s::int, %(share)s::float8)
