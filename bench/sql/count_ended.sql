-- Count the jobs that have ended.
SELECT count(*)
FROM farm.result
