-- Tell whether a partition is being put together anew, and whether tables wait to be dropped. Reads two tables of a few rows.
SELECT EXISTS (SELECT FROM farm.pruning), EXISTS (SELECT FROM farm.pruned_table)
