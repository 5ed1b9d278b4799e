-- List the partitions from the oldest, whether new jobs go no more into each, and how many jobs one was left with. Reads a small table whole.
SELECT p.number, p.lower_id, p.upper_id, p.upper_id <= s.last_value + 1, p.kept_jobs
FROM farm.partition AS p
CROSS JOIN farm.job_id_seq AS s
WHERE p.lower_id <= s.last_value
ORDER BY p.lower_id
