-- Plan the transaction by indexes, whatever the statistics of queue tables say at the moment: they swing between
-- empty and millions of rows. Several statements, because together they are one setting and SET LOCAL takes one each.
SET LOCAL enable_seqscan = off;
SET LOCAL enable_bitmapscan = off;
SET LOCAL enable_mergejoin = off;
SET LOCAL jit = off
