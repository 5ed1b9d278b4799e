-- Enqueueing in SQL. The rules are those of the client, so the messages are its messages.

-- Wake the lanes that sleep and want one of these classes, and with due_at, if nothing is due earlier, whoever promotes. A lane that
-- sleeps has said so in farm.idle; a transaction that may not see that always notifies. With priorities, beside the classes, the jobs
-- are new ones of these priorities, which a lane can claim without looking; with job_id it can read the only one ahead. To be called
-- after the rows are in.
CREATE FUNCTION farm.wake(
    classes int[], priorities int[] DEFAULT NULL, due_at timestamptz DEFAULT NULL, job_id bigint DEFAULT NULL
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog
AS $$
BEGIN
    IF due_at IS NOT NULL AND NOT EXISTS (SELECT FROM farm.scheduled AS s WHERE s.shard = 0 AND s.run_at < due_at) THEN
        PERFORM pg_notify('farm_wake', 'later');
    END IF;
    PERFORM pg_notify('farm_wake', concat_ws(':', w.class_id, w.priority, job_id))
    FROM (SELECT DISTINCT u.class_id, u.priority FROM unnest(classes, priorities) AS u (class_id, priority)) AS w
    WHERE current_setting('transaction_isolation') <> 'read committed'
        OR EXISTS (SELECT FROM farm.idle AS i WHERE i.shard = 0 AND (i.classes IS NULL OR w.class_id = ANY (i.classes)));
END
$$;

-- The id of a class, made if it is not there yet: then supervisors are told that there is a new one. Making one waits for another
-- open transaction that is making the same.
CREATE FUNCTION farm.class_id(queue text, runner text, memory_mb int DEFAULT 0) RETURNS int
LANGUAGE plpgsql
SET search_path = pg_catalog
AS $$
DECLARE
    found_id int;
BEGIN
    LOOP
        SELECT c.id INTO found_id FROM farm.class AS c
        WHERE c.shard = 0 AND c.queue = class_id.queue AND c.runner = class_id.runner AND c.memory_mb = class_id.memory_mb;
        IF FOUND THEN
            RETURN found_id;
        END IF;
        INSERT INTO farm.class AS c (shard, queue, runner, memory_mb)
        VALUES (0, class_id.queue, class_id.runner, class_id.memory_mb)
        ON CONFLICT DO NOTHING
        RETURNING c.id INTO found_id;
        IF FOUND THEN
            PERFORM pg_notify('farm_wake', 'classes');
            RETURN found_id;
        END IF;
    END LOOP;
END
$$;

-- Raise as the client does, so that both name the wrong argument in the same words.
CREATE FUNCTION farm.refuse(argument text, expected text, got text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog
AS $$
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = 'invalid_parameter_value',
        MESSAGE = format('%s: expected %s, got %s', argument, expected, coalesce(left(got, 80), 'null'));
END
$$;

CREATE FUNCTION farm.enqueue(
    task text,
    args jsonb DEFAULT '[]',
    queue text DEFAULT 'default',
    runner text DEFAULT NULL,
    priority int DEFAULT NULL,
    delay_s float8 DEFAULT NULL,
    run_at timestamptz DEFAULT NULL,
    max_attempts int DEFAULT NULL,
    timeout_s float8 DEFAULT NULL
) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog
AS $$
#variable_conflict use_column
DECLARE
    name_pattern CONSTANT text := '^[a-z0-9][a-z0-9_.:-]{0,62}$';
    runner_name text := coalesce(enqueue.runner, CASE WHEN enqueue.task ~ '^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_.]*$' THEN 'python' END);
    urgency int := coalesce(enqueue.priority, 4);
    due_at timestamptz;
    class_id int;
    job_id bigint;
BEGIN
    IF enqueue.task IS NULL OR enqueue.task = '' OR octet_length(enqueue.task) > 1024 OR enqueue.task ~ '[\x01-\x1f\x7f]' THEN
        PERFORM farm.refuse('task', '1 to 1024 bytes without control characters', quote_literal(left(enqueue.task, 40)));
    END IF;
    IF enqueue.queue IS NULL OR enqueue.queue !~ name_pattern THEN
        PERFORM farm.refuse('queue', 'a name like [a-z0-9][a-z0-9_.:-]{0,62}', quote_literal(enqueue.queue));
    END IF;
    IF runner_name IS NULL THEN
        PERFORM farm.refuse('runner', 'a name, since the task does not look like module:function', 'null');
    ELSIF runner_name !~ name_pattern THEN
        PERFORM farm.refuse('runner', 'a name like [a-z0-9][a-z0-9_.:-]{0,62}', quote_literal(runner_name));
    END IF;
    IF urgency NOT BETWEEN 0 AND 9 THEN
        PERFORM farm.refuse('priority', '0 to 9', urgency::text);
    END IF;
    IF enqueue.args IS NULL OR jsonb_typeof(enqueue.args) NOT IN ('object', 'array') THEN
        PERFORM farm.refuse('args', 'an object or an array', jsonb_typeof(enqueue.args));
    ELSIF octet_length(enqueue.args::text) > 1048576 THEN
        PERFORM farm.refuse('args', 'at most 1048576 bytes of JSON', octet_length(enqueue.args::text)::text);
    END IF;
    IF enqueue.max_attempts NOT BETWEEN 1 AND 10000 THEN
        PERFORM farm.refuse('max_attempts', '1 to 10000', enqueue.max_attempts::text);
    END IF;
    IF NOT (enqueue.timeout_s BETWEEN 0.001 AND 2000000) THEN
        PERFORM farm.refuse('timeout_s', '0.001 to 2000000 seconds', enqueue.timeout_s::text);
    END IF;
    IF enqueue.delay_s IS NOT NULL AND enqueue.run_at IS NOT NULL THEN
        PERFORM farm.refuse('run_at', 'nothing, since delay_s is given', enqueue.run_at::text);
    END IF;
    IF NOT (enqueue.delay_s BETWEEN 0 AND 3155760000) THEN
        PERFORM farm.refuse('delay_s', '0 to 3155760000 seconds', enqueue.delay_s::text);
    END IF;
    IF NOT (enqueue.run_at >= '2000-01-01 00:00:00+00' AND enqueue.run_at < '2200-01-01 00:00:00+00') THEN
        PERFORM farm.refuse('run_at', 'a time in the years 2000 to 2199', enqueue.run_at::text);
    END IF;

    due_at := coalesce(enqueue.run_at, now() + make_interval(secs => enqueue.delay_s));
    class_id := farm.class_id(enqueue.queue, runner_name);
    job_id := nextval('farm.job_id_seq');
    IF job_id >= (SELECT p.upper_id FROM farm.partition AS p ORDER BY p.number DESC LIMIT 1) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation',
            MESSAGE = format('job id %s has no partition', job_id),
            HINT = 'A running farm makes partitions ahead. Without one, run: SELECT farm.ensure_partitions(' || job_id || ', 2)';
    END IF;
    INSERT INTO farm.job (shard, id, class_id, priority, task, args, max_attempts, timeout_ms, run_at)
    VALUES (0, job_id, class_id, urgency, enqueue.task, enqueue.args, enqueue.max_attempts, ceil(enqueue.timeout_s * 1000)::int, due_at);
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
