-- The jobs of Oban that have not succeeded, by their numbers, and whether they are at their end all the same. Reads everything.
SELECT (j.args ->> 'n')::int, j.state IN ('discarded', 'cancelled')
FROM oban_jobs AS j
WHERE j.state <> 'completed'
