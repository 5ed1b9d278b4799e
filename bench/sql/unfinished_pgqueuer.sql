-- The jobs of PGQueuer that have not succeeded, by their numbers, and whether they are at their end all the same: none is, they did not
-- fail, and what has ended is deleted. Reads the whole table.
SELECT (convert_from(q.payload, 'UTF8')::jsonb ->> 'n')::int, q.status NOT IN ('queued', 'picked')
FROM pgqueuer AS q
