-- Make parked jobs claimable: their classes get a runner that farms have, and farms are told. No row of a queue is touched, so what
-- is measured starts from a database that was vacuumed.
WITH released AS (
    UPDATE farm.class AS c SET runner = 'python' WHERE c.runner = 'parked' RETURNING c.id
)
SELECT count(*), pg_notify('farm_wake', 'classes')
FROM released
