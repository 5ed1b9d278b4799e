-- Drop a table that is a partition no more.
SELECT farm.drop_pruned()
