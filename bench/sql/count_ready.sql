-- Count the jobs that can be claimed at once. Reads the whole of ready.
SELECT count(*) FROM farm.ready WHERE shard = 0
