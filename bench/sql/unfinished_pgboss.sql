-- The jobs of pg-boss that have not succeeded, by their numbers, and whether they are at their end all the same. Reads everything.
SELECT (j.data ->> 'n')::int, j.state IN ('failed', 'cancelled')
FROM pgboss.job AS j
WHERE j.name = 'noop' AND j.state <> 'completed'
