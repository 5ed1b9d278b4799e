-- Read which process ran each job and, by CLOCK_MONOTONIC, when it began there, in that order: every job returned both. Reads the table whole.
SELECT (r.value ->> 0)::int, (r.value ->> 1)::bigint
FROM farm.result AS r
WHERE r.status = 1
ORDER BY 2
