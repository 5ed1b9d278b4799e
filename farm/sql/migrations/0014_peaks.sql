-- What a job had in memory at most, where it could be measured: of jobs that ran alone in their process and took over a millisecond, and
-- of those that were ended for it. Null elsewhere, which takes no room in a row.
ALTER TABLE farm.result ADD COLUMN peak_bytes bigint;
ALTER TABLE farm.failure ADD COLUMN peak_bytes bigint;

COMMENT ON COLUMN farm.result.peak_bytes IS
    'the largest resident size of its subworker while it ran; of one that was ended for its memory, that of all its processes';

-- The view of migration 0006 with one more column, the last: a view can be added to while it is read.
CREATE OR REPLACE VIEW farm.jobs AS
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
    NULL::jsonb AS error,
    NULL::bigint AS peak_bytes
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
    NULL::jsonb,
    NULL::bigint
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
    NULL::jsonb,
    NULL::bigint
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
    NULL::jsonb,
    NULL::bigint
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
    NULL::jsonb,
    NULL::bigint
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
    NULL::jsonb,
    NULL::bigint
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
    NULL::jsonb,
    NULL::bigint
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
        r.error,
        r.peak_bytes
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
        r.error,
        r.peak_bytes
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
        r.error,
        r.peak_bytes
    FROM farm.result AS r
    JOIN farm.job AS j ON j.shard = 0 AND j.id = r.job_id
    JOIN farm.class AS c ON c.shard = 0 AND c.id = j.class_id
    LEFT JOIN farm.host AS h ON h.id = (r.lease_id >> 32)::int
    WHERE r.shard = 0 AND r.status = 3
    ORDER BY r.job_id DESC
);

COMMENT ON COLUMN farm.jobs.peak_bytes IS 'what its subworker had in memory at most while it ran, where that is known';
