-- Ending jobs that nobody wants any more, and changing the queue entry of those that wait. A job that waits is made final by whoever asks,
-- in one statement. For one that a host holds a request is filed: the host ends it, or it comes back, and then the sweep does.

-- Requests that stand: nearly always none. Each goes when its job has ended.
CREATE TABLE farm.cancel_request (
    job_id bigint NOT NULL,
    asked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    shard smallint NOT NULL DEFAULT 0,
    only_unstarted boolean NOT NULL,
    reason text NOT NULL,
    -- Apart, so that who lets jobs expire never waits for somebody whose transaction stays open after a cancel.
    PRIMARY KEY (shard, job_id, only_unstarted)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off);

COMMENT ON COLUMN farm.cancel_request.only_unstarted IS 'its time has expired: a job that has started is left alone';

COMMENT ON COLUMN farm.job.class_id IS 'what holds today: farm.change_jobs changes it, and priority and run_at, of jobs that wait';

-- Have claims of the classes of these jobs lock rows, and pass over those that the caller locks next, until his transaction ends. Without
-- that a claim that has a class to itself would wait for the caller, who may be somebody with a long transaction of his own. See farm.claim_jobs.
CREATE FUNCTION farm.keep_claims_off(ids bigint[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $$
DECLARE
    locks CONSTANT int := 1717662318;
    waits_left int := 16;
    class_id int;
BEGIN
    FOR class_id IN
        SELECT DISTINCT j.class_id
        FROM unnest(ids) AS u (id)
        CROSS JOIN LATERAL (SELECT j.class_id FROM farm.job AS j WHERE j.shard = 0 AND j.id = u.id OFFSET 0) AS j
        ORDER BY j.class_id
    LOOP
        IF NOT pg_try_advisory_xact_lock(locks, class_id) AND waits_left > 0 THEN
            waits_left := waits_left - 1;
            PERFORM farm.await_lock(locks, class_id);
        END IF;
    END LOOP;
END
$$;

-- Make those of these jobs final that wait, as cancelled, and tell who waits for them; with unstarted, only those that have used no
-- attempt. Returns their ids. What somebody else has locked, to claim it or to move it, is passed over. Rows that wait are never
-- updated, which keeps DELETE by ctid safe. LIMIT 1 and OFFSET 0, here and below, have the planner look jobs up one by one, whatever it
-- believes of the tables.
CREATE FUNCTION farm.end_waiting(ids bigint[], error_type text, reason text, unstarted boolean) RETURNS bigint[]
LANGUAGE plpgsql
SET search_path = pg_catalog
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET cpu_index_tuple_cost = 100
SET jit = off
AS $$
DECLARE
    ended_ids bigint[];
BEGIN
    WITH asked AS MATERIALIZED (
        SELECT DISTINCT u.id, j.class_id, j.priority
        FROM unnest(ids) AS u (id)
        CROSS JOIN LATERAL (SELECT j.class_id, j.priority FROM farm.job AS j WHERE j.shard = 0 AND j.id = u.id OFFSET 0) AS j
    ),
    fresh AS MATERIALIZED (
        SELECT found.ctid
        FROM asked AS a
        CROSS JOIN LATERAL (
            SELECT r.ctid
            FROM farm.ready AS r
            WHERE r.shard = 0 AND r.class_id = a.class_id AND r.priority = a.priority AND r.job_id = a.id
            LIMIT 1
            FOR UPDATE OF r SKIP LOCKED
        ) AS found
    ),
    again AS MATERIALIZED (
        SELECT found.ctid
        FROM asked AS a
        CROSS JOIN LATERAL (
            SELECT r.ctid
            FROM farm.returned AS r
            WHERE r.shard = 0 AND r.job_id = a.id AND (r.attempt = 0 OR NOT end_waiting.unstarted)
            LIMIT 1
            FOR UPDATE OF r SKIP LOCKED
        ) AS found
    ),
    later AS MATERIALIZED (
        SELECT found.ctid
        FROM asked AS a
        CROSS JOIN LATERAL (
            SELECT s.ctid
            FROM farm.scheduled AS s
            WHERE s.shard = 0 AND s.job_id = a.id AND (s.attempt = 0 OR NOT end_waiting.unstarted)
            LIMIT 1
            FOR UPDATE OF s SKIP LOCKED
        ) AS found
    ),
    taken_fresh AS (
        DELETE FROM farm.ready AS r WHERE r.shard = 0 AND r.ctid = ANY (ARRAY(SELECT f.ctid FROM fresh AS f)) RETURNING r.job_id
    ),
    taken_again AS (
        DELETE FROM farm.returned AS r WHERE r.shard = 0 AND r.ctid = ANY (ARRAY(SELECT a.ctid FROM again AS a)) RETURNING r.job_id, r.attempt
    ),
    taken_later AS (
        DELETE FROM farm.scheduled AS s WHERE s.shard = 0 AND s.ctid = ANY (ARRAY(SELECT l.ctid FROM later AS l)) RETURNING s.job_id, s.attempt
    ),
    ended AS (
        INSERT INTO farm.result AS o (shard, job_id, status, attempt, finished_at, error)
        SELECT
            0, t.job_id, 3, t.attempt, clock_timestamp(),
            jsonb_build_object('type', end_waiting.error_type, 'message', end_waiting.reason, 'traceback', '')
        FROM (
            SELECT f.job_id, 0::smallint AS attempt FROM taken_fresh AS f
            UNION ALL
            SELECT a.job_id, a.attempt FROM taken_again AS a
            UNION ALL
            SELECT l.job_id, l.attempt FROM taken_later AS l
        ) AS t
        RETURNING o.job_id
    )
    SELECT coalesce(array_agg(e.job_id), '{}') INTO ended_ids FROM ended AS e;
    IF cardinality(ended_ids) > 0 AND EXISTS (SELECT FROM farm.waiter AS w WHERE w.shard = 0) THEN
        PERFORM farm.tell_waiters(ended_ids);
    END IF;
    RETURN ended_ids;
END
$$;

-- Cancel jobs: those that wait are final when this commits; for the others that have not ended a request is filed, of which their hosts
-- are told. waiting, held: leave out the one or the other. An outcome that was committed stands. Counts what became of them.
CREATE FUNCTION farm.cancel_jobs(ids bigint[], reason text DEFAULT NULL, waiting boolean DEFAULT true, held boolean DEFAULT true)
RETURNS TABLE (cancelled int, asked int, ended int, unknown int)
LANGUAGE plpgsql
SET search_path = pg_catalog
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $$
DECLARE
    why CONSTANT text := left(coalesce(nullif(cancel_jobs.reason, ''), 'cancelled by request'), 1000);
    gone_ids bigint[] := '{}';
BEGIN
    IF waiting THEN
        PERFORM farm.keep_claims_off(ids);
        gone_ids := farm.end_waiting(ids, 'Cancelled', why, false);
    END IF;
    -- In a statement of its own: it sees what has ended since.
    WITH rest AS MATERIALIZED (
        SELECT u.id FROM unnest(ids) AS u (id) EXCEPT SELECT g.id FROM unnest(gone_ids) AS g (id)
    ),
    known AS MATERIALIZED (
        SELECT
            r.id,
            EXISTS (SELECT FROM farm.job AS j WHERE j.shard = 0 AND j.id = r.id OFFSET 0) AS is_known,
            EXISTS (SELECT FROM farm.result AS o WHERE o.shard = 0 AND o.job_id = r.id OFFSET 0) AS has_ended
        FROM rest AS r
    ),
    requested AS (
        INSERT INTO farm.cancel_request AS c (shard, job_id, only_unstarted, reason)
        SELECT 0, k.id, false, why
        FROM known AS k
        WHERE cancel_jobs.held AND k.is_known AND NOT k.has_ended
        ORDER BY k.id
        ON CONFLICT (shard, job_id, only_unstarted)
            DO UPDATE SET reason = excluded.reason, asked_at = excluded.asked_at
    )
    SELECT
        count(*) FILTER (WHERE cancel_jobs.held AND k.is_known AND NOT k.has_ended),
        count(*) FILTER (WHERE k.has_ended),
        count(*) FILTER (WHERE NOT k.is_known AND NOT k.has_ended)
    INTO asked, ended, unknown
    FROM known AS k;
    cancelled := cardinality(gone_ids);
    IF asked > 0 THEN
        PERFORM pg_notify('farm_wake', 'cancel');
    END IF;
    RETURN NEXT;
END
$$;

COMMENT ON FUNCTION farm.cancel_jobs IS
    'Cancel jobs: waiting ones are final when your transaction commits, running ones are ended soon after; counts what became of them.';

-- Go through some requests, from an id on: jobs that wait are made final; requests go whose job has ended, was tried again by hand since
-- or, where only an unstarted one was meant, is known to have started. Returns how many were looked at, the last of them, and how many
-- jobs were made final.
CREATE FUNCTION farm.sweep_cancels(above_id bigint, jobs_max int) RETURNS TABLE (looked int, last_id bigint, cancelled int)
LANGUAGE plpgsql
SET search_path = pg_catalog
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $$
DECLARE
    ids bigint[];
    alike record;
BEGIN
    ids := ARRAY(
        SELECT c.job_id
        FROM farm.cancel_request AS c
        WHERE c.shard = 0 AND c.job_id > above_id
        ORDER BY c.job_id
        LIMIT jobs_max
        FOR UPDATE OF c SKIP LOCKED
    );
    looked := cardinality(ids);
    last_id := ids[looked];
    cancelled := 0;
    -- What was tried again by hand since is not what was to end.
    DELETE FROM farm.cancel_request AS c
    WHERE c.shard = 0 AND c.job_id = ANY (ids) AND EXISTS (
        SELECT
        FROM farm.failure AS f
        WHERE f.shard = 0 AND f.job_id = c.job_id AND f.kind = 'retried' AND f.finished_at > c.asked_at
        OFFSET 0
    );
    FOR alike IN
        SELECT c.reason, c.only_unstarted, array_agg(c.job_id) AS ids
        FROM farm.cancel_request AS c
        WHERE c.shard = 0 AND c.job_id = ANY (ids)
        GROUP BY c.reason, c.only_unstarted
    LOOP
        cancelled := cancelled + cardinality(farm.end_waiting(
            alike.ids, CASE WHEN alike.only_unstarted THEN 'Expired' ELSE 'Cancelled' END, alike.reason, alike.only_unstarted));
    END LOOP;
    DELETE FROM farm.cancel_request AS c
    WHERE c.shard = 0 AND c.job_id = ANY (ids) AND (
        EXISTS (SELECT FROM farm.result AS o WHERE o.shard = 0 AND o.job_id = c.job_id OFFSET 0)
        OR NOT EXISTS (SELECT FROM farm.job AS j WHERE j.shard = 0 AND j.id = c.job_id OFFSET 0)
        OR (c.only_unstarted AND (
            EXISTS (SELECT FROM farm.returned AS r WHERE r.shard = 0 AND r.job_id = c.job_id AND r.attempt > 0 OFFSET 0)
            OR EXISTS (SELECT FROM farm.scheduled AS s WHERE s.shard = 0 AND s.job_id = c.job_id AND s.attempt > 0 OFFSET 0)
            OR EXISTS (SELECT FROM farm.heartbeat AS h WHERE h.state = 'live' AND c.job_id = ANY (h.running))
        ))
    );
    RETURN NEXT;
END
$$;

-- Take jobs off the list of those that expire whose time has come: those that wait and have used no attempt are made final; for those that
-- are with a host a request is filed, for it to end them if they have not started. Returns how many were taken off.
CREATE FUNCTION farm.expire_jobs(jobs_max int) RETURNS int
LANGUAGE plpgsql
SET search_path = pg_catalog
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET cpu_index_tuple_cost = 100
SET jit = off
AS $$
DECLARE
    due_ids bigint[];
    gone_ids bigint[];
BEGIN
    WITH due AS MATERIALIZED (
        SELECT e.ctid
        FROM farm.expiry AS e
        WHERE e.shard = 0 AND e.expires_at <= now()
        ORDER BY e.expires_at, e.job_id
        LIMIT jobs_max
        FOR UPDATE OF e SKIP LOCKED
    ),
    taken AS (
        DELETE FROM farm.expiry AS e WHERE e.shard = 0 AND e.ctid = ANY (ARRAY(SELECT d.ctid FROM due AS d)) RETURNING e.job_id
    )
    SELECT coalesce(array_agg(t.job_id), '{}') INTO due_ids FROM taken AS t;
    gone_ids := farm.end_waiting(due_ids, 'Expired', 'expired', true);
    INSERT INTO farm.cancel_request (shard, job_id, only_unstarted, reason)
    SELECT 0, u.id, true, 'expired'
    FROM (SELECT d.id FROM unnest(due_ids) AS d (id) EXCEPT SELECT g.id FROM unnest(gone_ids) AS g (id)) AS u
    WHERE EXISTS (SELECT FROM farm.job AS j WHERE j.shard = 0 AND j.id = u.id OFFSET 0)
        AND NOT EXISTS (SELECT FROM farm.result AS o WHERE o.shard = 0 AND o.job_id = u.id OFFSET 0)
        AND NOT EXISTS (SELECT FROM farm.returned AS r WHERE r.shard = 0 AND r.job_id = u.id AND r.attempt > 0 OFFSET 0)
        AND NOT EXISTS (SELECT FROM farm.scheduled AS s WHERE s.shard = 0 AND s.job_id = u.id AND s.attempt > 0 OFFSET 0)
    ORDER BY u.id
    ON CONFLICT DO NOTHING;
    IF FOUND THEN
        PERFORM pg_notify('farm_wake', 'cancel');
    END IF;
    RETURN cardinality(due_ids);
END
$$;

-- Change the queue entry of jobs that wait, and what farm.job says of it: their queue, their priority, when they are due. What is null
-- stays as it is. They stand behind all others of their new priority that came back before them. Counts what became of them.
CREATE FUNCTION farm.change_jobs(ids bigint[], queue text DEFAULT NULL, priority int DEFAULT NULL, run_at timestamptz DEFAULT NULL)
RETURNS TABLE (changed int, held int, ended int, unknown int)
LANGUAGE plpgsql
SET search_path = pg_catalog
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET cpu_index_tuple_cost = 100
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    fault CONSTANT text := CASE
        WHEN change_jobs.queue !~ '^[a-z0-9][a-z0-9_.:-]{0,62}$' THEN farm.refusal('queue', quote_literal(change_jobs.queue))
        WHEN change_jobs.priority NOT BETWEEN 0 AND 9 THEN farm.refusal('priority', change_jobs.priority::text)
        WHEN NOT (change_jobs.run_at >= '2000-01-01 00:00:00+00' AND change_jobs.run_at < '2200-01-01 00:00:00+00')
            THEN farm.refusal('run_at', change_jobs.run_at::text)
    END;
    changed_ids bigint[];
    class_ids int[];
    priorities smallint[];
    due_classes int[];
    first_due_at timestamptz;
BEGIN
    IF fault IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = fault;
    END IF;
    PERFORM farm.keep_claims_off(ids);
    IF change_jobs.queue IS NOT NULL THEN
        PERFORM farm.class_id(change_jobs.queue, c.runner, c.memory_mb)
        FROM (
            SELECT DISTINCT c.runner, c.memory_mb
            FROM unnest(ids) AS u (id)
            CROSS JOIN LATERAL (SELECT j.class_id FROM farm.job AS j WHERE j.shard = 0 AND j.id = u.id OFFSET 0) AS j
            JOIN farm.class AS c ON c.shard = 0 AND c.id = j.class_id
        ) AS c;
    END IF;

    WITH asked AS MATERIALIZED (
        SELECT DISTINCT u.id, j.class_id, j.priority
        FROM unnest(ids) AS u (id)
        CROSS JOIN LATERAL (SELECT j.class_id, j.priority FROM farm.job AS j WHERE j.shard = 0 AND j.id = u.id OFFSET 0) AS j
    ),
    fresh AS MATERIALIZED (
        SELECT found.ctid
        FROM asked AS a
        CROSS JOIN LATERAL (
            SELECT r.ctid
            FROM farm.ready AS r
            WHERE r.shard = 0 AND r.class_id = a.class_id AND r.priority = a.priority AND r.job_id = a.id
            LIMIT 1
            FOR UPDATE OF r SKIP LOCKED
        ) AS found
    ),
    again AS MATERIALIZED (
        SELECT found.ctid
        FROM asked AS a
        CROSS JOIN LATERAL (
            SELECT r.ctid
            FROM farm.returned AS r
            WHERE r.shard = 0 AND r.job_id = a.id
            LIMIT 1
            FOR UPDATE OF r SKIP LOCKED
        ) AS found
    ),
    later AS MATERIALIZED (
        SELECT found.ctid
        FROM asked AS a
        CROSS JOIN LATERAL (
            SELECT s.ctid
            FROM farm.scheduled AS s
            WHERE s.shard = 0 AND s.job_id = a.id
            LIMIT 1
            FOR UPDATE OF s SKIP LOCKED
        ) AS found
    ),
    taken_fresh AS (
        DELETE FROM farm.ready AS r WHERE r.shard = 0 AND r.ctid = ANY (ARRAY(SELECT f.ctid FROM fresh AS f))
        RETURNING r.job_id, r.class_id, r.priority
    ),
    taken_again AS (
        DELETE FROM farm.returned AS r WHERE r.shard = 0 AND r.ctid = ANY (ARRAY(SELECT a.ctid FROM again AS a))
        RETURNING r.job_id, r.class_id, r.priority, r.attempt, r.lost
    ),
    taken_later AS (
        DELETE FROM farm.scheduled AS s WHERE s.shard = 0 AND s.ctid = ANY (ARRAY(SELECT l.ctid FROM later AS l))
        RETURNING s.job_id, s.class_id, s.priority, s.attempt, s.lost, s.run_at
    ),
    entry AS MATERIALIZED (
        SELECT
            t.job_id,
            coalesce(n.id, t.class_id) AS class_id,
            coalesce(change_jobs.priority, t.priority)::smallint AS priority,
            t.attempt,
            t.lost,
            coalesce(change_jobs.run_at, t.run_at) AS run_at
        FROM (
            SELECT f.job_id, f.class_id, f.priority, 0::smallint AS attempt, 0::smallint AS lost, NULL::timestamptz AS run_at
            FROM taken_fresh AS f
            UNION ALL
            SELECT a.job_id, a.class_id, a.priority, a.attempt, a.lost, NULL FROM taken_again AS a
            UNION ALL
            SELECT l.job_id, l.class_id, l.priority, l.attempt, l.lost, l.run_at FROM taken_later AS l
        ) AS t
        JOIN farm.class AS o ON o.shard = 0 AND o.id = t.class_id
        LEFT JOIN farm.class AS n ON n.shard = 0 AND n.queue = change_jobs.queue AND n.runner = o.runner AND n.memory_mb = o.memory_mb
        ORDER BY t.job_id
    ),
    due AS (
        INSERT INTO farm.returned AS r (shard, class_id, priority, job_id, attempt, lost)
        SELECT 0, e.class_id, e.priority, e.job_id, e.attempt, e.lost FROM entry AS e WHERE e.run_at IS NULL OR e.run_at <= now()
        RETURNING r.class_id
    ),
    waiting AS (
        INSERT INTO farm.scheduled AS s (shard, run_at, job_id, class_id, priority, attempt, lost)
        SELECT 0, e.run_at, e.job_id, e.class_id, e.priority, e.attempt, e.lost FROM entry AS e WHERE e.run_at > now()
        RETURNING s.run_at
    )
    SELECT
        coalesce(array_agg(e.job_id), '{}'),
        array_agg(e.class_id),
        array_agg(e.priority),
        (SELECT array_agg(DISTINCT d.class_id) FROM due AS d),
        (SELECT min(w.run_at) FROM waiting AS w)
    INTO changed_ids, class_ids, priorities, due_classes, first_due_at
    FROM entry AS e;
    -- One by one: of a join the planner does not know from which side to begin.
    FOR place IN 1 .. cardinality(changed_ids) LOOP
        UPDATE farm.job AS j
        SET class_id = class_ids[place], priority = priorities[place], run_at = coalesce(change_jobs.run_at, j.run_at)
        WHERE j.shard = 0 AND j.id = changed_ids[place];
    END LOOP;
    PERFORM farm.wake(coalesce(due_classes, '{}'), due_at => first_due_at);

    SELECT
        cardinality(changed_ids),
        count(*) FILTER (WHERE k.is_known AND NOT k.has_ended),
        count(*) FILTER (WHERE k.has_ended),
        count(*) FILTER (WHERE NOT k.is_known AND NOT k.has_ended)
    INTO changed, held, ended, unknown
    FROM (
        SELECT
            EXISTS (SELECT FROM farm.job AS j WHERE j.shard = 0 AND j.id = u.id OFFSET 0) AS is_known,
            EXISTS (SELECT FROM farm.result AS o WHERE o.shard = 0 AND o.job_id = u.id OFFSET 0) AS has_ended
        FROM (SELECT u.id FROM unnest(ids) AS u (id) EXCEPT SELECT c.id FROM unnest(changed_ids) AS c (id)) AS u
    ) AS k;
    RETURN NEXT;
END
$$;

COMMENT ON FUNCTION farm.change_jobs IS
    'Move jobs that wait to another queue or priority, or to another time; what is null stays as it is. Counts what became of them.';
