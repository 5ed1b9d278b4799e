-- The jobs of awa that have not succeeded, by their numbers, and whether they are at their end all the same. Reads everything.
SELECT (j.args ->> 'n')::int, j.state::text IN ('failed', 'cancelled')
FROM awa.jobs AS j
WHERE j.state <> 'completed'
