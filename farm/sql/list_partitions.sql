-- List the partitions by id: table, the table that it is a partition of, and its range. Catalogs and the small table of ranges.
SELECT c.relname::text, parent.relname::text, p.lower_id, p.upper_id
FROM pg_inherits AS i
JOIN pg_class AS c ON c.oid = i.inhrelid AND c.relkind = 'r'
JOIN pg_class AS parent ON parent.oid = i.inhparent
JOIN farm.partition AS p ON c.relname = farm.partition_table(parent.relname, p.number, p.revision)
WHERE c.relnamespace = 'farm'::regnamespace AND NOT i.inhdetachpending
ORDER BY p.number, parent.relname
