-- Say whether the schema was ever created.
SELECT to_regclass('farm.migration')::text
