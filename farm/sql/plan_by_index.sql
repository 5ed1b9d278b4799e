-- Plan the transaction by indexes, whatever the statistics of queue tables say at the moment: they swing between empty and millions of
-- rows. Index entries are made dear so that rows picked by ctid are found by it alone: with the statistics of an empty table the
-- planner would rather walk the whole index for `shard = 0`. Several statements, because together they are one setting and SET LOCAL
-- takes one each.
SET LOCAL enable_seqscan = off;
SET LOCAL enable_bitmapscan = off;
SET LOCAL enable_mergejoin = off;
SET LOCAL cpu_index_tuple_cost = 100;
SET LOCAL max_parallel_workers_per_gather = 0;
SET LOCAL jit = off
