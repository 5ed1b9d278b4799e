-- The jobs of Procrastinate that have not succeeded, by their numbers, and whether they are at their end all the same. Reads everything.
SELECT (j.args ->> 'n')::int, j.status NOT IN ('todo', 'doing')
FROM procrastinate_jobs AS j
WHERE j.task_name = 'noop' AND j.status <> 'succeeded'
