-- Let no farm claim what is not claimed yet of one queue, and tell the farms. The opposite of release_queue.sql.
WITH parked AS (
    UPDATE farm.class AS c SET runner = 'parked' WHERE c.queue = %(queue)s AND c.runner = 'python' RETURNING c.id
)
SELECT count(*), pg_notify('farm_wake', 'classes')
FROM parked
