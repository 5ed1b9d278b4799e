-- Tell in how many seconds the next job is due, 0 or less if it is. Served by the primary key of scheduled.
SELECT extract(epoch FROM s.run_at - now())::float8
FROM farm.scheduled AS s
WHERE s.shard = 0
ORDER BY s.run_at
LIMIT 1
