-- Say whether any job of these classes is left that could be claimed now. Served by the primary keys of ready and returned, one look
-- each for every class.
SELECT EXISTS (
    SELECT
    FROM unnest(%(class_ids)s::int[]) AS c (id)
    WHERE EXISTS (SELECT FROM farm.returned AS r WHERE r.shard = 0 AND r.class_id = c.id)
        OR EXISTS (SELECT FROM farm.ready AS r WHERE r.shard = 0 AND r.class_id = c.id)
)
