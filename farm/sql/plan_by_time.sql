-- Plan the transaction by the index on finish times, even where statistics do not know yet how well that is ordered. Several statements,
-- because together they are one setting and SET LOCAL takes one each.
SET LOCAL enable_seqscan = off;
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_mergejoin = off;
SET LOCAL max_parallel_workers_per_gather = 0;
SET LOCAL jit = off
