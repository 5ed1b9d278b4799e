-- Count the partitions of job.
SELECT count(*) FROM farm.partition AS p
