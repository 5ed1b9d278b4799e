-- How many jobs the log of PGQueuer has more than once as successful. Reads everything.
SELECT count(*)
FROM (SELECT l.job_id FROM pgqueuer_log AS l WHERE l.status = 'successful' GROUP BY l.job_id HAVING count(*) > 1) AS twice
