-- How many jobs of farm have more than one result that says succeeded. Reads everything.
SELECT count(*)
FROM (SELECT r.job_id FROM farm.result AS r WHERE r.status = 1 GROUP BY r.job_id HAVING count(*) > 1) AS twice
