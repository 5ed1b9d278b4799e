-- Claim up to jobs_max jobs of one class as one lease: first from `returned`, at most returned_max, then from `ready` at one priority
-- above a job id. Served by the primary keys of ready and returned. The host is looked at where rows are picked: put later, rows would
-- be deleted without a lease. No row comes back when nothing is claimable or the host is retired, unless this is asked `again`: then an
-- empty lease is left, so that the first try, which may be at work still, can no more come through behind our back.
WITH picked_again AS MATERIALIZED (
    SELECT r.ctid
    FROM farm.returned AS r
    WHERE r.shard = 0
        AND r.class_id = %(class_id)s::int
        AND EXISTS (SELECT FROM farm.heartbeat AS h WHERE h.host_id = (%(lease_id)s::bigint >> 32)::int AND h.state = 'live')
    ORDER BY r.priority, r.job_id
    LIMIT %(returned_max)s::int
    FOR UPDATE OF r SKIP LOCKED
),
taken_again AS (
    DELETE FROM farm.returned AS r
    WHERE r.shard = 0 AND r.ctid = ANY (ARRAY(SELECT p.ctid FROM picked_again AS p))
    RETURNING r.priority, r.job_id, r.attempt, r.lost
),
picked AS MATERIALIZED (
    SELECT r.ctid
    FROM farm.ready AS r
    WHERE r.shard = 0
        AND r.class_id = %(class_id)s::int
        AND r.priority = %(priority)s::smallint
        AND r.job_id > %(above_id)s::bigint
        AND EXISTS (SELECT FROM farm.heartbeat AS h WHERE h.host_id = (%(lease_id)s::bigint >> 32)::int AND h.state = 'live')
    ORDER BY r.job_id
    LIMIT %(jobs_max)s::int - (SELECT count(*) FROM taken_again)
    FOR UPDATE OF r SKIP LOCKED
),
taken AS (
    DELETE FROM farm.ready AS r
    WHERE r.shard = 0 AND r.ctid = ANY (ARRAY(SELECT p.ctid FROM picked AS p))
    RETURNING r.job_id
),
again AS (
    SELECT
        count(*)::int AS n,
        array_agg(t.job_id ORDER BY t.priority, t.job_id) AS job_ids,
        array_agg(t.attempt ORDER BY t.priority, t.job_id) AS attempts,
        array_agg(t.lost ORDER BY t.priority, t.job_id) AS losts,
        coalesce(max(t.attempt), 0) AS attempt_max,
        coalesce(max(t.lost), 0) AS lost_max
    FROM taken_again AS t
),
fresh AS (
    SELECT count(*)::int AS n, array_agg(t.job_id ORDER BY t.job_id) AS job_ids
    FROM taken AS t
)
INSERT INTO farm.lease AS l (shard, id, n, job_ids, attempts, losts, done)
SELECT
    0,
    %(lease_id)s::bigint,
    again.n + fresh.n,
    coalesce(again.job_ids || fresh.job_ids, '{}'),
    CASE WHEN again.attempt_max > 0 THEN again.attempts || array_fill(0::smallint, ARRAY[fresh.n]) END,
    CASE WHEN again.lost_max > 0 THEN again.losts || array_fill(0::smallint, ARRAY[fresh.n]) END,
    decode(repeat('00', (again.n + fresh.n + 7) / 8), 'hex')
FROM again, fresh
WHERE again.n + fresh.n > 0 OR %(again)s::boolean
RETURNING l.job_ids, l.attempts, l.losts, (SELECT fresh.n FROM fresh)
