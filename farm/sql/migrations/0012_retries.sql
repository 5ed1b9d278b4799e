-- Jobs that are tried again by hand, after their end.

-- Stand in the place of the lease in their rows of farm.failure: below zero, so that they are nobody's, and the later the lower.
CREATE SEQUENCE farm.retry_seq AS bigint INCREMENT BY -1;

-- Make jobs that have failed or were cancelled ready again, as if they had never run; returns those that were, others are left alone. Their
-- result becomes a row of farm.failure that says by whom (null: the user of this connection), what it was, and how many attempts and
-- crashes lie before it: those no longer count. Results are locked in the order of their jobs, so that two of these cannot deadlock;
-- what somebody else has locked is passed over, since it is being tried again. Served by the primary keys of result, job and failure.
CREATE FUNCTION farm.retry_jobs(ids bigint[], by_whom text DEFAULT NULL) RETURNS bigint[]
LANGUAGE plpgsql
SET search_path = pg_catalog
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_mergejoin = off
SET enable_hashjoin = off
SET jit = off
AS $$
DECLARE
    locked bigint[];
    again bigint[];
BEGIN
    locked := ARRAY(
        SELECT r.job_id
        FROM unnest(ids) AS u (id)
        JOIN farm.result AS r ON r.shard = 0 AND r.job_id = u.id
        WHERE r.status <> 1
        ORDER BY r.job_id
        FOR UPDATE OF r SKIP LOCKED
    );
    WITH ended AS (
        DELETE FROM farm.result AS r
        USING (SELECT DISTINCT u.id FROM unnest(locked) AS u (id)) AS l
        WHERE r.shard = 0 AND r.job_id = l.id AND r.status <> 1
        RETURNING r.job_id, r.status, r.attempt, r.error
    ),
    told AS (
        INSERT INTO farm.failure (shard, job_id, lease_id, attempt, kind, finished_at, error)
        SELECT
            0, e.job_id, nextval('farm.retry_seq'), 0, 'retried', clock_timestamp(),
            jsonb_build_object(
                'type', 'Retried',
                'message', 'tried again by hand',
                'traceback', '',
                'by', coalesce(left(retry_jobs.by_whom, 200), current_user),
                'state', CASE e.status WHEN 2 THEN 'failed' ELSE 'cancelled' END,
                'attempt', e.attempt,
                'error', e.error - 'traceback',
                'attempts', before.attempts,
                'crashes', before.crashes
            )
        FROM ended AS e
        CROSS JOIN LATERAL (
            SELECT
                count(*) FILTER (WHERE f.kind <> 'retried') AS attempts,
                count(*) FILTER (WHERE f.kind IN ('crashed', 'memory')) AS crashes
            FROM farm.failure AS f
            WHERE f.shard = 0 AND f.job_id = e.job_id
        ) AS before
    ),
    back AS (
        INSERT INTO farm.returned (shard, class_id, priority, job_id, attempt, lost)
        SELECT 0, j.class_id, j.priority, e.job_id, 0, 0
        FROM ended AS e
        CROSS JOIN LATERAL (SELECT j.class_id, j.priority FROM farm.job AS j WHERE j.shard = 0 AND j.id = e.job_id OFFSET 0) AS j
        RETURNING job_id, class_id
    ),
    woken AS (
        SELECT farm.wake(array_agg(DISTINCT b.class_id)) FROM back AS b
    )
    SELECT array_agg(b.job_id ORDER BY b.job_id) INTO again
    FROM back AS b, woken;
    -- It is due now, whatever it was: it may have been cancelled before its time.
    UPDATE farm.job AS j SET run_at = now() WHERE j.shard = 0 AND j.id = ANY (again) AND j.run_at > now();
    RETURN coalesce(again, '{}');
END
$$;
