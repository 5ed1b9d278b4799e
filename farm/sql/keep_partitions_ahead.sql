-- Keep two partitions ahead of the ids given out so far. Served by the keys of partition.
SELECT farm.ensure_partitions((SELECT s.last_value FROM farm.job_id_seq AS s), 2)
