-- List the tables of the schema that hold rows worth keeping (partitions, not what they are partitions of), each with its columns and its
-- size. Catalogs only. What is unlogged is not kept over a restart either; nor is what retention was at: the partitions have it all.
SELECT
    c.relname::text,
    array(
        SELECT a.attname::text
        FROM pg_attribute AS a
        WHERE a.attrelid = c.oid
            AND a.attnum > 0
            AND NOT a.attisdropped
            AND a.attgenerated = ''
        ORDER BY a.attnum
    ),
    pg_table_size(c.oid)
FROM pg_class AS c
WHERE c.relnamespace = 'farm'::regnamespace
    AND c.relkind = 'r'
    AND c.relpersistence = 'p'
    AND c.relname NOT IN ('migration', 'pruning', 'pruning_change', 'pruned_table')
    AND (c.relispartition OR c.relname !~ '^(job|result|failure)_p[0-9]+(r[0-9]+)?$')
ORDER BY c.relname
