-- Make the parked jobs of one queue claimable: their classes get a runner that farms have, and farms are told.
WITH released AS (
    UPDATE farm.class AS c SET runner = 'python' WHERE c.queue = %(queue)s AND c.runner = 'parked' RETURNING c.id
)
SELECT count(*), pg_notify('farm_wake', 'classes')
FROM released
