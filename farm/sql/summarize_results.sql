-- Have the index on finish times know the pages that were written since it was last summarized: a look by time reads all that it does not
-- know. Goes through partitions, and writes a few tuples for each that has new pages. Only the owner may.
SELECT coalesce(sum(brin_summarize_new_values(t.relid)), 0)
FROM pg_partition_tree('farm.result_finished_at') AS t
WHERE t.isleaf
