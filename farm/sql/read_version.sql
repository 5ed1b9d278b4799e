-- Read the schema's version. Served by the primary key of migration.
SELECT coalesce(max(m.version), 0)
FROM farm.migration AS m
