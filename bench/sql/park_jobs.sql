-- Let no farm claim what is not claimed yet, the opposite of release_parked.sql, and tell the farms.
WITH parked AS (
    UPDATE farm.class AS c SET runner = 'parked' WHERE c.runner = 'python' RETURNING c.id
)
SELECT count(*), pg_notify('farm_wake', 'classes')
FROM parked
