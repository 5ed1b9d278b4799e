-- The stable interface for reading: every job once, with its state. One branch per state, the state a literal, so that a filter on it
-- leaves out the others; the joins let a filter on id or queue reach the keys of the tables.
CREATE VIEW farm.jobs AS
SELECT
    j.id,
    c.queue,
    c.runner,
    j.task,
    j.args,
    j.priority::int AS priority,
    'scheduled'::text AS state,
    w.attempt::int AS attempt,
    j.max_attempts::int AS max_attempts,
    w.run_at,
    j.created_at,
    NULL::timestamptz AS started_at,
    NULL::timestamptz AS finished_at,
    NULL::text AS host,
    NULL::jsonb AS result,
    NULL::jsonb AS error
FROM farm.scheduled AS w
JOIN farm.job AS j ON j.shard = 0 AND j.id = w.job_id
JOIN farm.class AS c ON c.shard = 0 AND c.id = j.class_id
WHERE w.shard = 0 AND w.attempt = 0
UNION ALL
SELECT
    j.id,
    c.queue,
    c.runner,
    j.task,
    j.args,
    j.priority::int,
    'retrying'::text,
    w.attempt::int,
    j.max_attempts::int,
    w.run_at,
    j.created_at,
    NULL::timestamptz,
    NULL::timestamptz,
    NULL::text,
    NULL::jsonb,
    NULL::jsonb
FROM farm.scheduled AS w
JOIN farm.job AS j ON j.shard = 0 AND j.id = w.job_id
JOIN farm.class AS c ON c.shard = 0 AND c.id = j.class_id
WHERE w.shard = 0 AND w.attempt > 0
UNION ALL
-- Nothing blocks a job yet.
SELECT
    j.id,
    c.queue,
    c.runner,
    j.task,
    j.args,
    j.priority::int,
    'blocked'::text,
    0,
    j.max_attempts::int,
    j.run_at,
    j.created_at,
    NULL::timestamptz,
    NULL::timestamptz,
    NULL::text,
    NULL::jsonb,
    NULL::jsonb
FROM farm.job AS j
JOIN farm.class AS c ON c.shard = 0 AND c.id = j.class_id
WHERE false
UNION ALL
-- A row that waits repeats class and priority of its job, so that a look by id finds it through its key.
SELECT
    j.id,
    c.queue,
    c.runner,
    j.task,
    j.args,
    j.priority::int,
    'ready'::text,
    0,
    j.max_attempts::int,
    j.run_at,
    j.created_at,
    NULL::timestamptz,
    NULL::timestamptz,
    NULL::text,
    NULL::jsonb,
    NULL::jsonb
FROM farm.ready AS w
JOIN farm.job AS j ON j.shard = 0 AND j.id = w.job_id AND j.class_id = w.class_id AND j.priority = w.priority
JOIN farm.class AS c ON c.shard = 0 AND c.id = j.class_id
WHERE w.shard = 0
UNION ALL
SELECT
    j.id,
    c.queue,
    c.runner,
    j.task,
    j.args,
    j.priority::int,
    'ready'::text,
    w.attempt::int,
    j.max_attempts::int,
    j.run_at,
    j.created_at,
    NULL::timestamptz,
    NULL::timestamptz,
    NULL::text,
    NULL::jsonb,
    NULL::jsonb
FROM farm.returned AS w
JOIN farm.job AS j ON j.shard = 0 AND j.id = w.job_id AND j.class_id = w.class_id AND j.priority = w.priority
JOIN farm.class AS c ON c.shard = 0 AND c.id = j.class_id
WHERE w.shard = 0
UNION ALL
-- The jobs of a lease are looked up one by one (OFFSET 0): leases are few, jobs may be many millions.
SELECT
    u.job_id,
    c.queue,
    c.runner,
    j.task,
    j.args,
    j.priority::int,
    'claimed'::text,
    coalesce(l.attempts[u.position], 0)::int,
    j.max_attempts::int,
    j.run_at,
    j.created_at,
    NULL::timestamptz,
    NULL::timestamptz,
    h.name,
    NULL::jsonb,
    NULL::jsonb
FROM farm.lease AS l
CROSS JOIN LATERAL unnest(l.job_ids) WITH ORDINALITY AS u (job_id, position)
LEFT JOIN farm.heartbeat AS b ON b.host_id = (l.id >> 32)::int
LEFT JOIN farm.host AS h ON h.id = (l.id >> 32)::int
CROSS JOIN LATERAL (SELECT * FROM farm.job AS j WHERE j.shard = 0 AND j.id = u.job_id OFFSET 0) AS j
JOIN farm.class AS c ON c.shard = 0 AND c.id = j.class_id
WHERE l.shard = 0
    AND get_bit(l.done, (u.position - 1)::int) = 0
    AND u.job_id <> ALL (coalesce(b.running, '{}'))
UNION ALL
SELECT
    u.job_id,
    c.queue,
    c.runner,
    j.task,
    j.args,
    j.priority::int,
    'running'::text,
    coalesce(l.attempts[u.position], 0) + 1,
    j.max_attempts::int,
    j.run_at,
    j.created_at,
    b.started_at[array_position(b.running, u.job_id)],
    NULL::timestamptz,
    h.name,
    NULL::jsonb,
    NULL::jsonb
FROM farm.lease AS l
CROSS JOIN LATERAL unnest(l.job_ids) WITH ORDINALITY AS u (job_id, position)
LEFT JOIN farm.heartbeat AS b ON b.host_id = (l.id >> 32)::int
LEFT JOIN farm.host AS h ON h.id = (l.id >> 32)::int
CROSS JOIN LATERAL (SELECT * FROM farm.job AS j WHERE j.shard = 0 AND j.id = u.job_id OFFSET 0) AS j
JOIN farm.class AS c ON c.shard = 0 AND c.id = j.class_id
WHERE l.shard = 0
    AND get_bit(l.done, (u.position - 1)::int) = 0
    AND u.job_id = ANY (b.running)
UNION ALL
-- Results may be many millions, and whoever wants the newest must not sort them all: PostgreSQL passes no order into a branch, but it
-- uses one that the branch has.
(
    SELECT
        r.job_id,
        c.queue,
        c.runner,
        j.task,
        j.args,
        j.priority::int,
        'succeeded'::text,
        r.attempt::int,
        j.max_attempts::int,
        j.run_at,
        j.created_at,
        r.started_at,
        r.finished_at,
        h.name,
        r.value,
        r.error
    FROM farm.result AS r
    JOIN farm.job AS j ON j.shard = 0 AND j.id = r.job_id
    JOIN farm.class AS c ON c.shard = 0 AND c.id = j.class_id
    LEFT JOIN farm.host AS h ON h.id = (r.lease_id >> 32)::int
    WHERE r.shard = 0 AND r.status = 1
    ORDER BY r.job_id DESC
)
UNION ALL
(
    SELECT
        r.job_id,
        c.queue,
        c.runner,
        j.task,
        j.args,
        j.priority::int,
        'failed'::text,
        r.attempt::int,
        j.max_attempts::int,
        j.run_at,
        j.created_at,
        r.started_at,
        r.finished_at,
        h.name,
        r.value,
        r.error
    FROM farm.result AS r
    JOIN farm.job AS j ON j.shard = 0 AND j.id = r.job_id
    JOIN farm.class AS c ON c.shard = 0 AND c.id = j.class_id
    LEFT JOIN farm.host AS h ON h.id = (r.lease_id >> 32)::int
    WHERE r.shard = 0 AND r.status = 2
    ORDER BY r.job_id DESC
)
UNION ALL
(
    SELECT
        r.job_id,
        c.queue,
        c.runner,
        j.task,
        j.args,
        j.priority::int,
        'cancelled'::text,
        r.attempt::int,
        j.max_attempts::int,
        j.run_at,
        j.created_at,
        r.started_at,
        r.finished_at,
        h.name,
        r.value,
        r.error
    FROM farm.result AS r
    JOIN farm.job AS j ON j.shard = 0 AND j.id = r.job_id
    JOIN farm.class AS c ON c.shard = 0 AND c.id = j.class_id
    LEFT JOIN farm.host AS h ON h.id = (r.lease_id >> 32)::int
    WHERE r.shard = 0 AND r.status = 3
    ORDER BY r.job_id DESC
);

COMMENT ON VIEW farm.jobs IS 'Every job with its state: scheduled, blocked, ready, claimed, running, retrying, succeeded, failed or cancelled';
COMMENT ON COLUMN farm.jobs.attempt IS 'how often it was started, a run under way included';
COMMENT ON COLUMN farm.jobs.run_at IS 'when it is due, if it was not due at once';
COMMENT ON COLUMN farm.jobs.host IS 'the name of the host that holds it or has ended it';
COMMENT ON COLUMN farm.jobs.error IS 'why it ended: {"type", "message", "traceback"}';
