-- How many jobs of Oban were completed more than once, as watch_oban.sql notes it. Reads everything.
SELECT count(*)
FROM (SELECT c.n FROM bench_completion AS c GROUP BY c.n HAVING count(*) > 1) AS twice
