-- List the sequences of the schema, those behind identity columns among them. Catalog only.
SELECT c.relname::text
FROM pg_class AS c
WHERE c.relnamespace = 'farm'::regnamespace AND c.relkind = 'S'
ORDER BY c.relname
