-- Count the batches that are claimed and not settled.
SELECT count(*) FROM farm.lease AS l WHERE l.shard = 0
