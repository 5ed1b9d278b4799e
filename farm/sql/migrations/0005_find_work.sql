-- A look for work, several times a second for as long as a farm is idle. A function, because its plan is then made once for a
-- connection and not at every look, which would cost eight times as much.

-- Find the (class, priority) pairs that have work, by hopping from pair to pair over the primary keys of ready and returned: one short
-- look for every pair that is there, whatever the number of jobs. Of `returned` the most urgent priority of a class is told. The
-- bounds say where claims of a pair have got to: entries below are not looked at, since they may all be dead and still in the index.
CREATE FUNCTION farm.find_work(class_ids int[], bound_classes int[], bound_priorities smallint[], bound_ids bigint[])
RETURNS TABLE (class_id int, priority smallint, from_returned boolean)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH RECURSIVE bounds AS MATERIALIZED (
        SELECT u.class_id, u.priority, u.above_id
        FROM unnest(bound_classes, bound_priorities, bound_ids)
            AS u (class_id, priority, above_id)
    ),
    fresh (class_id, priority, found) AS (
        SELECT -1, 0::smallint, false
        UNION ALL
        SELECT hop.class_id, hop.priority, hop.found
        FROM fresh AS f
        LEFT JOIN LATERAL (
            SELECT b.class_id, b.priority, b.above_id
            FROM bounds AS b
            WHERE (b.class_id, b.priority) > (f.class_id, f.priority)
            ORDER BY b.class_id, b.priority
            LIMIT 1
        ) AS bound ON true
        CROSS JOIN LATERAL (
            (
                SELECT r.class_id, r.priority, true AS found
                FROM farm.ready AS r
                WHERE r.shard = 0
                    AND (r.class_id, r.priority, r.job_id) > (f.class_id, f.priority, 9223372036854775807)
                    AND (r.class_id, r.priority) < (coalesce(bound.class_id, 2147483647), coalesce(bound.priority, 32767::smallint))
                ORDER BY r.class_id, r.priority, r.job_id
                LIMIT 1
            )
            UNION ALL
            SELECT
                bound.class_id,
                bound.priority,
                EXISTS (
                    SELECT FROM farm.ready AS r
                    WHERE r.shard = 0 AND r.class_id = bound.class_id AND r.priority = bound.priority AND r.job_id > bound.above_id
                )
            WHERE bound.class_id IS NOT NULL
            LIMIT 1
        ) AS hop
    ),
    again (class_id, priority) AS (
        SELECT -1, 0::smallint
        UNION ALL
        SELECT hop.class_id, hop.priority
        FROM again AS a
        CROSS JOIN LATERAL (
            SELECT r.class_id, r.priority
            FROM farm.returned AS r
            WHERE r.shard = 0 AND r.class_id > a.class_id
            ORDER BY r.class_id, r.priority, r.job_id
            LIMIT 1
        ) AS hop
    )
    SELECT f.class_id, f.priority, false
    FROM fresh AS f
    WHERE f.found AND f.class_id = ANY (class_ids)
    UNION ALL
    SELECT a.class_id, a.priority, true
    FROM again AS a
    WHERE a.class_id = ANY (class_ids);
END
$$;
