-- The trace that a job belongs to, as W3C Trace Context names it: whoever enqueues a job in the course of a request can have the
-- job's span stand under that request's.

ALTER TABLE farm.job ADD COLUMN traceparent text;

-- A partition that is just being put together anew is to be one of this table, and is none yet.
DO $$
DECLARE
    pruning farm.pruning;
BEGIN
    SELECT * INTO pruning FROM farm.pruning;
    IF FOUND THEN
        EXECUTE format('ALTER TABLE farm.%I ADD COLUMN traceparent text',
            farm.partition_table('job', pruning.numbers[cardinality(pruning.numbers)], pruning.revision));
    END IF;
END
$$;

COMMENT ON COLUMN farm.job.traceparent IS 'the span that has enqueued it, as W3C Trace Context writes it; null: none was named';

-- What is wrong with such a name, or null. Version 00 alone: what later ones hold behind it nobody knows.
CREATE FUNCTION farm.trace_fault(traceparent text) RETURNS text
LANGUAGE sql IMMUTABLE
AS $$
    SELECT farm.refusal('traceparent', quote_literal(traceparent))
    WHERE traceparent !~ '^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$'
        OR traceparent ~ '^00-0{32}-' OR traceparent ~ '^.{35}-0{16}-'
$$;

-- What is refused, as `option: expected ..., got ...`.
CREATE OR REPLACE FUNCTION farm.refusal(option text, got text) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog
AS $$
    SELECT concat(option, ': expected ', CASE option
        WHEN 'task' THEN '1 to 1024 bytes without control characters'
        WHEN 'args' THEN 'an object or an array'
        WHEN 'queue' THEN 'a name like [a-z0-9][a-z0-9_.:-]{0,62}'
        WHEN 'runner' THEN 'a name like [a-z0-9][a-z0-9_.:-]{0,62}'
        WHEN 'priority' THEN '0 to 9'
        WHEN 'delay_s' THEN '0 to 3155760000 seconds'
        WHEN 'run_at' THEN 'a time with an offset, in the years 2000 to 2199'
        WHEN 'max_attempts' THEN '1 to 10000'
        WHEN 'timeout_s' THEN '0.001 to 2000000 seconds'
        WHEN 'memory' THEN 'a size such as 512MB or 2GB, at most 1TiB'
        WHEN 'retry' THEN 'a delay such as 10s, or one that grows such as 1s to 10m, at most 20d'
        WHEN 'expires_s' THEN '0.001 to 3155760000 seconds'
        WHEN 'expires_at' THEN 'a time with an offset, in the years 2000 to 2199'
        WHEN 'traceparent' THEN 'a trace and a span such as 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
    END, ', got ', coalesce(left(got, 80), 'null'))
$$;

-- The first option of an object that no job has; null if there is none.
CREATE OR REPLACE FUNCTION farm.unknown_option(job jsonb) RETURNS text
LANGUAGE sql IMMUTABLE
AS $$
    SELECT min(o.option)
    FROM jsonb_object_keys(
        job - ARRAY[
            'args', 'delay_s', 'expires_at', 'expires_s', 'max_attempts', 'memory', 'priority', 'queue',
            'retry', 'run_at', 'runner', 'task', 'timeout_s', 'traceparent'
        ]
    ) AS o (option)
$$;

-- What is wrong with a job that is given as an object, as it follows its place: `.priority: expected ...`; or null.
CREATE OR REPLACE FUNCTION farm.element_fault(job jsonb) RETURNS text
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    fault text;
BEGIN
    fault := CASE
        WHEN jsonb_typeof(job) <> 'object' THEN ': expected an object, got ' || left(job::text, 80)
        WHEN job - ARRAY[
            'args', 'delay_s', 'expires_at', 'expires_s', 'max_attempts', 'memory', 'priority', 'queue',
            'retry', 'run_at', 'runner', 'task', 'timeout_s', 'traceparent'
        ] <> '{}'
            THEN '.' || left(quote_ident(farm.unknown_option(job)), 80)
                || ': no such option, expected args, delay_s, expires_at, expires_s, max_attempts, memory, priority, queue, retry, '
                || 'run_at, runner, task, timeout_s, traceparent'
        WHEN jsonb_typeof(job -> 'task') NOT IN ('string', 'null') THEN '.' || farm.refusal('task', job ->> 'task')
        WHEN jsonb_typeof(job -> 'args') NOT IN ('object', 'array', 'null') THEN '.' || farm.refusal('args', (job -> 'args')::text)
        WHEN jsonb_typeof(job -> 'queue') NOT IN ('string', 'null') THEN '.' || farm.refusal('queue', job ->> 'queue')
        WHEN jsonb_typeof(job -> 'runner') NOT IN ('string', 'null') THEN '.' || farm.refusal('runner', job ->> 'runner')
        WHEN jsonb_typeof(job -> 'priority') NOT IN ('number', 'null') THEN '.' || farm.refusal('priority', (job -> 'priority')::text)
        WHEN jsonb_typeof(job -> 'delay_s') NOT IN ('number', 'null') THEN '.' || farm.refusal('delay_s', (job -> 'delay_s')::text)
        WHEN jsonb_typeof(job -> 'run_at') NOT IN ('string', 'null') OR (job ->> 'run_at' IS NOT NULL AND farm.parse_time(job ->> 'run_at') IS NULL)
            THEN '.' || farm.refusal('run_at', (job -> 'run_at')::text)
        WHEN jsonb_typeof(job -> 'max_attempts') NOT IN ('number', 'null')
            THEN '.' || farm.refusal('max_attempts', (job -> 'max_attempts')::text)
        WHEN jsonb_typeof(job -> 'timeout_s') NOT IN ('number', 'null') THEN '.' || farm.refusal('timeout_s', (job -> 'timeout_s')::text)
        WHEN jsonb_typeof(job -> 'memory') NOT IN ('string', 'number', 'null')
            THEN '.' || farm.refusal('memory', (job -> 'memory')::text)
        ELSE '.' || farm.job_fault(
            job ->> 'task', coalesce(nullif(job -> 'args', 'null'), '[]'),
            CASE WHEN job ? 'queue' THEN job ->> 'queue' ELSE 'default' END, job ->> 'runner',
            (job ->> 'priority')::numeric, (job ->> 'delay_s')::numeric, farm.parse_time(job ->> 'run_at'),
            (job ->> 'max_attempts')::numeric, (job ->> 'timeout_s')::numeric, job ->> 'memory')
    END;
    IF fault IS NULL AND job ?| ARRAY['expires_at', 'expires_s', 'retry', 'traceparent'] THEN
        fault := CASE
            WHEN jsonb_typeof(job -> 'traceparent') NOT IN ('string', 'null')
                THEN '.' || farm.refusal('traceparent', (job -> 'traceparent')::text)
            WHEN farm.trace_fault(job ->> 'traceparent') IS NOT NULL THEN '.' || farm.trace_fault(job ->> 'traceparent')
            WHEN jsonb_typeof(job -> 'retry') NOT IN ('string', 'number', 'null') THEN '.' || farm.refusal('retry', (job -> 'retry')::text)
            WHEN jsonb_typeof(job -> 'expires_s') NOT IN ('number', 'null')
                THEN '.' || farm.refusal('expires_s', (job -> 'expires_s')::text)
            WHEN jsonb_typeof(job -> 'expires_at') NOT IN ('string', 'null')
                OR (job ->> 'expires_at' IS NOT NULL AND farm.parse_time(job ->> 'expires_at') IS NULL)
                THEN '.' || farm.refusal('expires_at', (job -> 'expires_at')::text)
            ELSE '.' || farm.rare_fault(
                job ->> 'retry', (job ->> 'expires_s')::numeric, farm.parse_time(job ->> 'expires_at'),
                coalesce(farm.parse_time(job ->> 'run_at'), now() + make_interval(secs => (job ->> 'delay_s')::float8)))
        END;
    END IF;
    RETURN fault;
END
$$;

DROP FUNCTION farm.enqueue(
    text, jsonb, text, text, int, float8, timestamptz, int, float8, text, text, float8, timestamptz
);

CREATE FUNCTION farm.enqueue(
    task text,
    args jsonb DEFAULT '[]',
    queue text DEFAULT 'default',
    runner text DEFAULT NULL,
    priority int DEFAULT NULL,
    delay_s float8 DEFAULT NULL,
    run_at timestamptz DEFAULT NULL,
    max_attempts int DEFAULT NULL,
    timeout_s float8 DEFAULT NULL,
    memory text DEFAULT NULL,
    retry text DEFAULT NULL,
    expires_s float8 DEFAULT NULL,
    expires_at timestamptz DEFAULT NULL,
    traceparent text DEFAULT NULL
) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog
AS $$
#variable_conflict use_column
DECLARE
    urgency CONSTANT int := coalesce(enqueue.priority, 4);
    fault text := farm.job_fault(
        enqueue.task, enqueue.args, enqueue.queue, enqueue.runner, enqueue.priority, enqueue.delay_s::numeric, enqueue.run_at,
        enqueue.max_attempts, enqueue.timeout_s::numeric, enqueue.memory);
    policy CONSTANT int[] := farm.retry_policy(enqueue.retry);
    due_at timestamptz;
    ends_at timestamptz;
    class_id int;
    job_id bigint;
BEGIN
    IF fault IS NULL THEN
        due_at := coalesce(enqueue.run_at, now() + make_interval(secs => enqueue.delay_s));
        fault := coalesce(
            farm.rare_fault(enqueue.retry, enqueue.expires_s::numeric, enqueue.expires_at, due_at), farm.trace_fault(enqueue.traceparent));
    END IF;
    IF fault IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = fault;
    END IF;
    ends_at := coalesce(enqueue.expires_at, now() + make_interval(secs => enqueue.expires_s));
    class_id := farm.class_id(enqueue.queue, coalesce(enqueue.runner, 'python'), coalesce(farm.memory_class(enqueue.memory), 0));
    job_id := nextval('farm.job_id_seq');
    IF job_id >= (SELECT p.upper_id FROM farm.partition AS p ORDER BY p.number DESC LIMIT 1) THEN
        PERFORM farm.refuse_id(job_id);
    END IF;
    INSERT INTO farm.job (
        shard, id, class_id, priority, task, args, max_attempts, timeout_ms, run_at, retry_base_ms, retry_cap_ms, expires_at,
        traceparent
    )
    VALUES (
        0, job_id, class_id, urgency, enqueue.task, enqueue.args, enqueue.max_attempts, ceil(enqueue.timeout_s * 1000)::int, due_at,
        policy[1], policy[2], ends_at, enqueue.traceparent
    );
    IF ends_at IS NOT NULL THEN
        INSERT INTO farm.expiry (shard, expires_at, job_id) VALUES (0, ends_at, job_id);
    END IF;
    IF due_at > now() THEN
        INSERT INTO farm.scheduled (shard, run_at, job_id, class_id, priority, attempt, lost)
        VALUES (0, due_at, job_id, class_id, urgency, 0, 0);
        PERFORM farm.wake('{}', due_at => due_at);
    ELSE
        INSERT INTO farm.ready (shard, class_id, priority, job_id) VALUES (0, class_id, urgency, job_id);
        PERFORM farm.wake(ARRAY[class_id], ARRAY[urgency], job_id => job_id);
    END IF;
    RETURN job_id;
END
$$;

COMMENT ON FUNCTION farm.enqueue IS 'File a job and return its id; it is there when your transaction commits, and only then.';

CREATE OR REPLACE FUNCTION farm.enqueue_many(jobs jsonb) RETURNS bigint[]
LANGUAGE plpgsql
SET search_path = pg_catalog
AS $$
DECLARE
    fault text;
    ids bigint[];
    new_classes int[];
    new_priorities int[];
    first_due_at timestamptz;
BEGIN
    IF jobs IS NULL OR jsonb_typeof(jobs) <> 'array' THEN
        fault := 'jobs: expected an array of objects, got ' || coalesce(jsonb_typeof(jobs), 'null');
    ELSE
        SELECT format('jobs[%s]%s', e.place - 1, farm.element_fault(e.job)) INTO fault
        FROM jsonb_array_elements(jobs) WITH ORDINALITY AS e (job, place)
        WHERE farm.element_fault(e.job) IS NOT NULL
        LIMIT 1;
    END IF;
    IF fault IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = fault;
    END IF;

    PERFORM farm.class_id(c.queue, c.runner, c.memory_mb)
    FROM (
        SELECT DISTINCT
            coalesce(e.job ->> 'queue', 'default') AS queue,
            coalesce(e.job ->> 'runner', 'python') AS runner,
            coalesce(farm.memory_class(e.job ->> 'memory'), 0) AS memory_mb
        FROM jsonb_array_elements(jobs) AS e (job)
    ) AS c;
    ids := ARRAY(SELECT nextval('farm.job_id_seq') FROM generate_series(1, jsonb_array_length(jobs)));
    IF ids[cardinality(ids)] >= (SELECT p.upper_id FROM farm.partition AS p ORDER BY p.number DESC LIMIT 1) THEN
        PERFORM farm.refuse_id(ids[cardinality(ids)]);
    END IF;

    WITH told AS MATERIALIZED (
        SELECT
            ids[e.place] AS id,
            c.id AS class_id,
            coalesce((e.job ->> 'priority')::int, 4) AS priority,
            (e.job ->> 'max_attempts')::int AS max_attempts,
            ceil((e.job ->> 'timeout_s')::float8 * 1000)::int AS timeout_ms,
            coalesce(farm.parse_time(e.job ->> 'run_at'), now() + make_interval(secs => (e.job ->> 'delay_s')::float8)) AS run_at,
            farm.retry_policy(e.job ->> 'retry') AS retry,
            coalesce(farm.parse_time(e.job ->> 'expires_at'), now() + make_interval(secs => (e.job ->> 'expires_s')::float8)) AS expires_at,
            e.job ->> 'traceparent' AS traceparent,
            e.job ->> 'task' AS task,
            coalesce(nullif(e.job -> 'args', 'null'), '[]') AS args
        FROM jsonb_array_elements(jobs) WITH ORDINALITY AS e (job, place)
        JOIN farm.class AS c
            ON c.shard = 0
            AND c.queue = coalesce(e.job ->> 'queue', 'default')
            AND c.runner = coalesce(e.job ->> 'runner', 'python')
            AND c.memory_mb = coalesce(farm.memory_class(e.job ->> 'memory'), 0)
    ), stored AS (
        INSERT INTO farm.job (
            shard, id, class_id, priority, task, args, max_attempts, timeout_ms, run_at, retry_base_ms, retry_cap_ms, expires_at,
            traceparent
        )
        SELECT
            0, t.id, t.class_id, t.priority, t.task, t.args, t.max_attempts, t.timeout_ms, t.run_at, t.retry[1], t.retry[2],
            t.expires_at, t.traceparent
        FROM told AS t
    ), expiring AS (
        INSERT INTO farm.expiry (shard, expires_at, job_id)
        SELECT 0, t.expires_at, t.id FROM told AS t WHERE t.expires_at IS NOT NULL
    ), later AS (
        INSERT INTO farm.scheduled (shard, run_at, job_id, class_id, priority, attempt, lost)
        SELECT 0, t.run_at, t.id, t.class_id, t.priority, 0, 0 FROM told AS t WHERE t.run_at > now()
        RETURNING run_at
    ), runnable AS (
        INSERT INTO farm.ready (shard, class_id, priority, job_id)
        SELECT 0, t.class_id, t.priority, t.id FROM told AS t WHERE t.run_at IS NULL OR t.run_at <= now()
        RETURNING class_id, priority
    )
    SELECT array_agg(w.class_id), array_agg(w.priority), (SELECT min(l.run_at) FROM later AS l)
    INTO new_classes, new_priorities, first_due_at
    FROM (SELECT DISTINCT r.class_id, r.priority FROM runnable AS r) AS w;
    PERFORM farm.wake(coalesce(new_classes, '{}'), new_priorities, first_due_at);
    RETURN ids;
END
$$;
