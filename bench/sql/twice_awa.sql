-- How many jobs awa shows more than once as completed. Reads everything.
SELECT count(*)
FROM (SELECT j.id FROM awa.jobs AS j WHERE j.state = 'completed' GROUP BY j.id HAVING count(*) > 1) AS twice
