-- Jobs that started before they were due, by more than a clock that is being put right can explain. Reads result and job whole.
SELECT r.job_id, 'started ' || (j.run_at - r.started_at) || ' before it was due'
FROM farm.result AS r
JOIN farm.job AS j ON j.id = r.job_id
WHERE r.started_at < j.run_at - interval '1 second'
ORDER BY 1
LIMIT 100
