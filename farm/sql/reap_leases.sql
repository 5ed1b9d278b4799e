-- Take leases from a host that does not live, and settle what is open in them: known to have started, an attempt is used; every job
-- counts a loss, unless the host's own memory shows that it had not started. `started` is that evidence; null: its last heartbeat is all
-- that is known. Done bits decide what is open, never the evidence. `tasks` and `limits` say how often jobs of some tasks may be started
-- that do not say so themselves. Served by the primary keys of lease, heartbeat and job. Returns how many jobs were open, how many of them had
-- started, and how many leases were taken.
WITH gone AS MATERIALIZED (
    SELECT l.id, l.job_ids, l.attempts, l.losts, l.done
    FROM farm.lease AS l
    WHERE l.shard = 0
        AND l.id >= %(host_id)s::bigint << 32
        AND l.id < (%(host_id)s::bigint + 1) << 32
        AND NOT EXISTS (SELECT FROM farm.heartbeat AS h WHERE h.host_id = %(host_id)s::int AND h.state = 'live')
    ORDER BY l.id
    LIMIT 20
    FOR UPDATE OF l SKIP LOCKED
),
ran AS MATERIALIZED (
    SELECT u.job_id, min(t.started_at) AS started_at
    FROM unnest(coalesce(
        %(started)s::bigint[],
        (SELECT h.running FROM farm.heartbeat AS h WHERE h.host_id = %(host_id)s::int)
    )) AS u (job_id)
    LEFT JOIN (
        SELECT v.job_id, v.started_at
        FROM farm.heartbeat AS h, unnest(h.running, h.started_at) AS v (job_id, started_at)
        WHERE h.host_id = %(host_id)s::int
    ) AS t ON t.job_id = u.job_id
    GROUP BY u.job_id
),
unsettled AS MATERIALIZED (
    SELECT
        g.id AS lease_id,
        u.job_id,
        coalesce(g.attempts[u.position], 0) AS attempt,
        coalesce(g.losts[u.position], 0) AS lost
    FROM gone AS g
    CROSS JOIN LATERAL unnest(g.job_ids) WITH ORDINALITY AS u (job_id, position)
    WHERE get_bit(g.done, (u.position - 1)::int) = 0
),
judged AS MATERIALIZED (
    SELECT
        o.lease_id,
        o.job_id,
        j.class_id,
        j.priority,
        o.attempt + (r.job_id IS NOT NULL)::int AS attempt,
        o.lost + l.counts AS lost,
        r.job_id IS NOT NULL AS started,
        r.started_at,
        CASE
            WHEN r.job_id IS NOT NULL AND o.attempt + 1 >= coalesce(j.max_attempts, t.attempts_max, 3) THEN 'HostLost'
            WHEN o.lost + l.counts >= 10 THEN 'LostTooOften'
        END AS ended_by
    FROM unsettled AS o
    LEFT JOIN ran AS r ON r.job_id = o.job_id
    CROSS JOIN LATERAL (SELECT (%(started)s::bigint[] IS NULL OR r.job_id IS NOT NULL)::int AS counts) AS l
    CROSS JOIN LATERAL (
        SELECT j.class_id, j.priority, j.max_attempts, j.task FROM farm.job AS j WHERE j.shard = 0 AND j.id = o.job_id OFFSET 0
    ) AS j
    LEFT JOIN unnest(%(tasks)s::text[], %(limits)s::int[]) AS t (task, attempts_max) ON t.task = j.task
),
dropped AS (
    DELETE FROM farm.lease AS l
    USING gone AS g
    WHERE l.shard = 0 AND l.id = g.id
),
blamed AS (
    INSERT INTO farm.failure (shard, job_id, lease_id, attempt, kind, error, started_at, finished_at)
    SELECT
        0, o.job_id, o.lease_id, o.attempt, 'lost',
        jsonb_build_object(
            'type', 'HostLost',
            'message', CASE WHEN %(started)s::bigint[] IS NULL THEN 'its host was lost while it ran' ELSE 'its farm was killed while it ran' END,
            'traceback', ''
        ),
        o.started_at, now()
    FROM judged AS o
    WHERE o.started
),
ended AS (
    INSERT INTO farm.result (shard, job_id, lease_id, status, attempt, started_at, finished_at, error)
    SELECT
        0, o.job_id, o.lease_id, 2, o.attempt, o.started_at, now(),
        jsonb_build_object(
            'type', o.ended_by,
            'message', CASE
                WHEN o.ended_by <> 'HostLost' THEN 'lost too often'
                WHEN %(started)s::bigint[] IS NULL THEN 'its host was lost while it ran'
                ELSE 'its farm was killed while it ran'
            END,
            'traceback', ''
        )
    FROM judged AS o
    WHERE o.ended_by IS NOT NULL
),
again AS (
    INSERT INTO farm.returned (shard, class_id, priority, job_id, attempt, lost)
    SELECT 0, o.class_id, o.priority, o.job_id, o.attempt, o.lost
    FROM judged AS o
    WHERE o.ended_by IS NULL
),
woken AS MATERIALIZED (
    SELECT farm.wake(array_agg(DISTINCT o.class_id)) FROM judged AS o WHERE o.ended_by IS NULL
)
SELECT count(*), count(*) FILTER (WHERE o.started), (SELECT count(*) FROM gone), (SELECT count(*) FROM woken)
FROM judged AS o
