-- Tell those who wait for a job of this commit that it has ended: one message of up to 300 ids for each of them. What somebody else has
-- locked is passed over, so that a commit waits for nobody; who waits looks for itself, too. Served by the primary keys of waiter and
-- result.
WITH ended AS MATERIALIZED (
    SELECT w.ctid
    FROM farm.waiter AS w
    WHERE w.shard = 0
        AND w.job_id = ANY (%(ended_ids)s::bigint[])
        AND EXISTS (
            SELECT FROM farm.result AS r
            WHERE r.shard = 0
                AND r.job_id = w.job_id
                AND r.job_id BETWEEN %(ended_lowest)s::bigint AND %(ended_highest)s::bigint
        )
    FOR UPDATE OF w SKIP LOCKED
),
told AS (
    DELETE FROM farm.waiter AS w
    WHERE w.shard = 0 AND w.ctid = ANY (ARRAY(SELECT e.ctid FROM ended AS e))
    RETURNING w.pid, w.job_id
),
numbered AS (
    SELECT t.pid, t.job_id, row_number() OVER (PARTITION BY t.pid ORDER BY t.job_id) AS number
    FROM told AS t
)
SELECT pg_notify('farm_wait_' || n.pid, string_agg(n.job_id::text, ',' ORDER BY n.job_id))
FROM numbered AS n
GROUP BY n.pid, n.number / 300
