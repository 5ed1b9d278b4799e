-- How many jobs the events of Procrastinate have more than once as succeeded. Reads everything.
SELECT count(*)
FROM (SELECT e.job_id FROM procrastinate_events AS e WHERE e.type = 'succeeded' GROUP BY e.job_id HAVING count(*) > 1) AS twice
WHERE twice.job_id IN (SELECT j.id FROM procrastinate_jobs AS j WHERE j.task_name = 'noop')
