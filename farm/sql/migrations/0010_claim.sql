-- Claims that stay flat: under a transaction that stays open, with many classes in a claim, with many hosts at one queue.

-- Jobs come back in any order of their ids, but one after the other: a number in that order lets claims of `returned` begin above what
-- they have taken, as those of `ready` do, instead of walking over entries that are dead and cannot be removed yet.
CREATE SEQUENCE farm.returned_seq AS bigint;

ALTER TABLE farm.returned
    ADD COLUMN seq bigint NOT NULL DEFAULT nextval('farm.returned_seq'),
    DROP CONSTRAINT returned_pkey,
    ADD PRIMARY KEY (shard, class_id, priority, seq);

CREATE UNIQUE INDEX returned_job_id ON farm.returned (shard, job_id);

-- When a host was retired. Claims look here: a row that changes once, where a heartbeat changes every second and leaves a version each
-- time for as long as somebody's transaction stays open.
ALTER TABLE farm.host ADD COLUMN retired_at timestamptz;

UPDATE farm.host AS o
SET retired_at = now()
WHERE NOT EXISTS (SELECT FROM farm.heartbeat AS h WHERE h.host_id = o.id AND h.state = 'live');

-- Take an advisory lock until the end of the transaction, if it is to be had in the time in which a claim as a rule ends. A wait in vain
-- is no error: it would end the transaction, and stand in the server's log.
CREATE FUNCTION farm.await_lock(locks int, lock_id int) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog
SET lock_timeout = '20ms'
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(locks, lock_id);
    RETURN true;
EXCEPTION WHEN lock_not_available THEN
    RETURN false;
END
$$;

-- Claim up to jobs_max jobs of some classes at one priority as one lease: first up to returned_max from `returned`, then from `ready`,
-- of each class up to each_max of either, above a number and up to another (null: without end). No row comes back when there is nothing
-- to claim or the host is retired, unless this is asked `again`: then an empty lease is left, so that the first try, which may be at
-- work still, can no more come through behind our back.
--
-- It locks the classes until it commits, and then need lock no rows: that would take a fifth of the claim's time and a quarter of its
-- log, and others would walk over every locked row. The first class is waited for; others are passed over where somebody has them. When
-- the wait was in vain, this claims beside whoever has the class, and does lock rows and pass over locked ones. What both have picked
-- goes to the one that deletes it first; the other waits for that, and does without.
--
-- Rows are deleted by ctid, one statement after they were picked. They can't be others by then: this transaction's own snapshot keeps
-- whatever ended since from being removed, and so its place from being taken.
CREATE FUNCTION farm.claim_jobs(
    lease_id bigint, class_ids int[], priority smallint,
    above_seqs bigint[], upto_seqs bigint[], above_ids bigint[], upto_ids bigint[],
    returned_max int, each_max int, jobs_max int, again boolean
) RETURNS TABLE (
    job_ids bigint[], attempts smallint[], losts smallint[],
    ready_classes int[], ready_counts int[], last_ids bigint[],
    returned_classes int[], returned_counts int[], last_seqs bigint[]
)
LANGUAGE plpgsql
SET search_path = pg_catalog
AS $$
#variable_conflict use_column
DECLARE
    locks CONSTANT int := 1717662318;
    endless CONSTANT bigint := 9223372036854775807;
    ours boolean[];
    ctids_again tid[] := '{}';
    ctids tid[] := '{}';
BEGIN
    -- The first one before the others: nobody may wait while others wait for him.
    IF farm.await_lock(locks, class_ids[1]) THEN
        ours := ARRAY(
            SELECT u.place = 1 OR pg_try_advisory_xact_lock(locks, u.class_id)
            FROM unnest(class_ids) WITH ORDINALITY AS u (class_id, place)
            ORDER BY u.place
        );
    END IF;
    -- Before anything is deleted: put later, rows would be deleted without a lease.
    IF NOT EXISTS (SELECT FROM farm.host AS h WHERE h.id = (claim_jobs.lease_id >> 32)::int AND h.retired_at IS NULL) THEN
        NULL;
    ELSIF ours IS NOT NULL THEN
        IF returned_max > 0 THEN
            ctids_again := ARRAY(
                SELECT p.ctid
                FROM unnest(class_ids, above_seqs, upto_seqs, ours) AS w (class_id, above, upto, is_ours)
                CROSS JOIN LATERAL (
                    SELECT r.ctid
                    FROM farm.returned AS r
                    WHERE r.shard = 0 AND r.class_id = w.class_id AND r.priority = claim_jobs.priority
                        AND r.seq > w.above AND r.seq <= coalesce(w.upto, endless)
                    ORDER BY r.seq
                    LIMIT each_max
                ) AS p
                WHERE w.is_ours
                LIMIT returned_max
            );
        END IF;
        ctids := ARRAY(
            SELECT p.ctid
            FROM unnest(class_ids, above_ids, upto_ids, ours) AS w (class_id, above, upto, is_ours)
            CROSS JOIN LATERAL (
                SELECT r.ctid
                FROM farm.ready AS r
                WHERE r.shard = 0 AND r.class_id = w.class_id AND r.priority = claim_jobs.priority
                    AND r.job_id > w.above AND r.job_id <= coalesce(w.upto, endless)
                ORDER BY r.job_id
                LIMIT each_max
            ) AS p
            WHERE w.is_ours
            LIMIT jobs_max - cardinality(ctids_again)
        );
    ELSE
        IF returned_max > 0 THEN
            ctids_again := ARRAY(
                SELECT p.ctid
                FROM unnest(class_ids, above_seqs, upto_seqs) AS w (class_id, above, upto)
                CROSS JOIN LATERAL (
                    SELECT r.ctid
                    FROM farm.returned AS r
                    WHERE r.shard = 0 AND r.class_id = w.class_id AND r.priority = claim_jobs.priority
                        AND r.seq > w.above AND r.seq <= coalesce(w.upto, endless)
                    ORDER BY r.seq
                    LIMIT each_max
                    FOR UPDATE OF r SKIP LOCKED
                ) AS p
                LIMIT returned_max
            );
        END IF;
        ctids := ARRAY(
            SELECT p.ctid
            FROM unnest(class_ids, above_ids, upto_ids) AS w (class_id, above, upto)
            CROSS JOIN LATERAL (
                SELECT r.ctid
                FROM farm.ready AS r
                WHERE r.shard = 0 AND r.class_id = w.class_id AND r.priority = claim_jobs.priority
                    AND r.job_id > w.above AND r.job_id <= coalesce(w.upto, endless)
                ORDER BY r.job_id
                LIMIT each_max
                FOR UPDATE OF r SKIP LOCKED
            ) AS p
            LIMIT jobs_max - cardinality(ctids_again)
        );
    END IF;
    IF cardinality(ctids_again) + cardinality(ctids) = 0 AND NOT again THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH taken_again AS (
        DELETE FROM farm.returned AS r
        WHERE r.shard = 0 AND r.ctid = ANY (ctids_again)
        RETURNING r.class_id, r.seq, r.job_id, r.attempt, r.lost
    ),
    taken AS (
        DELETE FROM farm.ready AS r
        WHERE r.shard = 0 AND r.ctid = ANY (ctids)
        RETURNING r.class_id, r.job_id
    ),
    returned AS (
        SELECT
            count(*)::int AS n,
            array_agg(t.job_id ORDER BY t.job_id) AS job_ids,
            array_agg(t.attempt ORDER BY t.job_id) AS attempts,
            array_agg(t.lost ORDER BY t.job_id) AS losts,
            coalesce(max(t.attempt), 0) AS attempt_max,
            coalesce(max(t.lost), 0) AS lost_max,
            max(t.seq) AS last_seq
        FROM taken_again AS t
    ),
    fresh AS (
        SELECT count(*)::int AS n, array_agg(t.job_id ORDER BY t.job_id) AS job_ids, max(t.job_id) AS last_id
        FROM taken AS t
    ),
    leased AS (
        INSERT INTO farm.lease AS l (shard, id, n, job_ids, attempts, losts, done)
        SELECT
            0,
            claim_jobs.lease_id,
            a.n + f.n,
            coalesce(a.job_ids || f.job_ids, '{}'),
            CASE WHEN a.attempt_max > 0 THEN a.attempts || array_fill(0::smallint, ARRAY[f.n]) END,
            CASE WHEN a.lost_max > 0 THEN a.losts || array_fill(0::smallint, ARRAY[f.n]) END,
            decode(repeat('00', (a.n + f.n + 7) / 8), 'hex')
        FROM returned AS a, fresh AS f
        WHERE a.n + f.n > 0 OR again
        RETURNING l.job_ids, l.attempts, l.losts
    ),
    -- What came of each class. Of a single one it is known without counting.
    fresh_each AS (
        SELECT array_agg(e.class_id) AS classes, array_agg(e.n) AS counts, array_agg(e.last_id) AS last_ids
        FROM (SELECT t.class_id, count(*)::int AS n, max(t.job_id) AS last_id FROM taken AS t GROUP BY t.class_id) AS e
        WHERE cardinality(claim_jobs.class_ids) > 1
    ),
    returned_each AS (
        SELECT array_agg(e.class_id) AS classes, array_agg(e.n) AS counts, array_agg(e.last_seq) AS last_seqs
        FROM (SELECT t.class_id, count(*)::int AS n, max(t.seq) AS last_seq FROM taken_again AS t GROUP BY t.class_id) AS e
        WHERE cardinality(claim_jobs.class_ids) > 1
    )
    SELECT
        l.job_ids,
        l.attempts,
        l.losts,
        coalesce(fe.classes, CASE WHEN f.n > 0 THEN ARRAY[claim_jobs.class_ids[1]] END),
        coalesce(fe.counts, ARRAY[f.n]),
        coalesce(fe.last_ids, ARRAY[f.last_id]),
        coalesce(re.classes, CASE WHEN a.n > 0 THEN ARRAY[claim_jobs.class_ids[1]] END),
        coalesce(re.counts, ARRAY[a.n]),
        coalesce(re.last_seqs, ARRAY[a.last_seq])
    FROM leased AS l, fresh AS f, returned AS a, fresh_each AS fe, returned_each AS re;
END
$$;

DROP FUNCTION farm.find_work(int[], int[], smallint[], bigint[]);

-- Find the (class, priority) pairs that have work, in `ready` and in `returned`, and the first entry of each. The bounds say where
-- claims of a pair have got to: entries up to there are not looked at, since they may all be dead and still in the index. Pairs
-- with bounds are looked at one by one; the others are found by hopping over the gaps between them: a few short looks for every pair and
-- every gap, whatever the number of jobs. A hop goes to the rest of the class, then to classes between, then to the class of the next
-- known pair: where two columns were compared at once, PostgreSQL before 18 would not stop at that pair but walk through it.
CREATE FUNCTION farm.find_work(
    id_classes int[], id_priorities smallint[], above_ids bigint[],
    seq_classes int[], seq_priorities smallint[], above_seqs bigint[]
) RETURNS TABLE (class_id int, priority smallint, from_returned boolean, first bigint)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_sort = on
SET jit = off
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH RECURSIVE known AS MATERIALIZED (
        SELECT
            u.class_id, u.priority, u.above,
            lead(u.class_id, 1, 2147483647) OVER w AS next_class_id, lead(u.priority, 1, 32767::smallint) OVER w AS next_priority
        FROM unnest(id_classes, id_priorities, above_ids) AS u (class_id, priority, above)
        WINDOW w AS (ORDER BY u.class_id, u.priority)
    ),
    hops (class_id, priority, first, next_class_id, next_priority) AS (
        SELECT k.class_id, k.priority, NULL::bigint, k.next_class_id, k.next_priority
        FROM known AS k
        UNION ALL
        (
            SELECT -1, 0::smallint, NULL::bigint, coalesce(min(k.class_id), 2147483647),
                coalesce((SELECT k.priority FROM known AS k ORDER BY k.class_id, k.priority LIMIT 1), 32767::smallint)
            FROM known AS k
        )
        UNION ALL
        SELECT hop.class_id, hop.priority, hop.first, h.next_class_id, h.next_priority
        FROM hops AS h
        CROSS JOIN LATERAL (
            (
                SELECT r.class_id, r.priority, r.job_id AS first
                FROM farm.ready AS r
                WHERE r.shard = 0 AND r.class_id = h.class_id AND r.priority > h.priority
                    AND r.priority < CASE WHEN h.next_class_id = h.class_id THEN h.next_priority ELSE 32767 END
                ORDER BY r.priority, r.job_id
                LIMIT 1
            )
            UNION ALL
            (
                SELECT r.class_id, r.priority, r.job_id
                FROM farm.ready AS r
                WHERE r.shard = 0 AND r.class_id > h.class_id AND r.class_id < h.next_class_id
                ORDER BY r.class_id, r.priority, r.job_id
                LIMIT 1
            )
            UNION ALL
            (
                SELECT r.class_id, r.priority, r.job_id
                FROM farm.ready AS r
                WHERE r.shard = 0 AND r.class_id = h.next_class_id AND h.next_class_id > h.class_id AND r.priority < h.next_priority
                ORDER BY r.priority, r.job_id
                LIMIT 1
            )
            LIMIT 1
        ) AS hop
    )
    SELECT h.class_id, h.priority, false, h.first
    FROM hops AS h
    WHERE h.first IS NOT NULL
    UNION ALL
    SELECT k.class_id, k.priority, false, found.job_id
    FROM known AS k
    CROSS JOIN LATERAL (
        SELECT r.job_id
        FROM farm.ready AS r
        WHERE r.shard = 0 AND r.class_id = k.class_id AND r.priority = k.priority AND r.job_id > k.above
        ORDER BY r.job_id
        LIMIT 1
    ) AS found;

    RETURN QUERY
    WITH RECURSIVE known AS MATERIALIZED (
        SELECT
            u.class_id, u.priority, u.above,
            lead(u.class_id, 1, 2147483647) OVER w AS next_class_id, lead(u.priority, 1, 32767::smallint) OVER w AS next_priority
        FROM unnest(seq_classes, seq_priorities, above_seqs) AS u (class_id, priority, above)
        WINDOW w AS (ORDER BY u.class_id, u.priority)
    ),
    hops (class_id, priority, first, next_class_id, next_priority) AS (
        SELECT k.class_id, k.priority, NULL::bigint, k.next_class_id, k.next_priority
        FROM known AS k
        UNION ALL
        (
            SELECT -1, 0::smallint, NULL::bigint, coalesce(min(k.class_id), 2147483647),
                coalesce((SELECT k.priority FROM known AS k ORDER BY k.class_id, k.priority LIMIT 1), 32767::smallint)
            FROM known AS k
        )
        UNION ALL
        SELECT hop.class_id, hop.priority, hop.first, h.next_class_id, h.next_priority
        FROM hops AS h
        CROSS JOIN LATERAL (
            (
                SELECT r.class_id, r.priority, r.seq AS first
                FROM farm.returned AS r
                WHERE r.shard = 0 AND r.class_id = h.class_id AND r.priority > h.priority
                    AND r.priority < CASE WHEN h.next_class_id = h.class_id THEN h.next_priority ELSE 32767 END
                ORDER BY r.priority, r.seq
                LIMIT 1
            )
            UNION ALL
            (
                SELECT r.class_id, r.priority, r.seq
                FROM farm.returned AS r
                WHERE r.shard = 0 AND r.class_id > h.class_id AND r.class_id < h.next_class_id
                ORDER BY r.class_id, r.priority, r.seq
                LIMIT 1
            )
            UNION ALL
            (
                SELECT r.class_id, r.priority, r.seq
                FROM farm.returned AS r
                WHERE r.shard = 0 AND r.class_id = h.next_class_id AND h.next_class_id > h.class_id AND r.priority < h.next_priority
                ORDER BY r.priority, r.seq
                LIMIT 1
            )
            LIMIT 1
        ) AS hop
    )
    SELECT h.class_id, h.priority, true, h.first
    FROM hops AS h
    WHERE h.first IS NOT NULL
    UNION ALL
    SELECT k.class_id, k.priority, true, found.seq
    FROM known AS k
    CROSS JOIN LATERAL (
        SELECT r.seq
        FROM farm.returned AS r
        WHERE r.shard = 0 AND r.class_id = k.class_id AND r.priority = k.priority AND r.seq > k.above
        ORDER BY r.seq
        LIMIT 1
    ) AS found;
END
$$;
