-- Retention: what of a partition is to stay is copied into a new one, which then takes its place, and the old one is dropped as a whole.
-- So no row is deleted one by one, every statement goes on to find jobs where it always found them, and an id of any age has a partition.
-- docs/decisions/0021 says why. Every function here is one short transaction; what is under way stands in these tables, so whoever comes
-- next, after a kill too, goes on with it.

ALTER TABLE farm.partition
    ADD COLUMN revision int NOT NULL DEFAULT 0,
    ADD COLUMN kept_jobs bigint;

COMMENT ON COLUMN farm.partition.revision IS 'how often it was put together anew: part of the names of its tables';
COMMENT ON COLUMN farm.partition.kept_jobs IS 'how many jobs it was left with then; null: it never was';

-- The partition that is being put together anew, out of one or several neighbours: one at a time.
CREATE TABLE farm.pruning (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    numbers int[] NOT NULL,
    lower_id bigint NOT NULL,
    upper_id bigint NOT NULL,
    revision int NOT NULL,
    succeeded_before timestamptz NOT NULL,
    failed_before timestamptz NOT NULL,
    cancelled_before timestamptz NOT NULL,
    next_id bigint NOT NULL,
    jobs bigint NOT NULL DEFAULT 0,
    kept bigint NOT NULL DEFAULT 0,
    begun_at timestamptz NOT NULL DEFAULT now(),
    next_step_at timestamptz NOT NULL DEFAULT now()
);

COMMENT ON COLUMN farm.pruning.numbers IS 'from the oldest; the last one gives its number to the new one';
COMMENT ON COLUMN farm.pruning.succeeded_before IS 'jobs that succeeded before this go; -infinity: none does';
COMMENT ON COLUMN farm.pruning.next_id IS 'jobs below are copied, or left out';

-- When somebody looked last for a partition to prune: hosts may be many, and one look a minute will do.
CREATE TABLE farm.pruning_look (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    looked_at timestamptz NOT NULL
) WITH (fillfactor = 50);

INSERT INTO farm.pruning_look (looked_at) VALUES ('-infinity');

-- Jobs of which something has changed since they were copied.
CREATE TABLE farm.pruning_change (job_id bigint NOT NULL);

-- Tables that are partitions no more, and are to be dropped.
CREATE TABLE farm.pruned_table (name text PRIMARY KEY);

CREATE FUNCTION farm.partition_table(parent text, number int, revision int) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog
AS $$
    SELECT concat(parent, '_p', number, CASE WHEN revision > 0 THEN 'r' || revision END)
$$;

-- Whoever may change a job need have no right to this table.
CREATE FUNCTION farm.note_change() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog
AS $$
DECLARE
    changed record := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
BEGIN
    IF TG_ARGV[0] = 'job' THEN
        INSERT INTO farm.pruning_change (job_id) VALUES (changed.id);
    ELSE
        INSERT INTO farm.pruning_change (job_id) VALUES (changed.job_id);
    END IF;
    RETURN NULL;
END
$$;

-- Have new jobs go into the next partition from now on, if the first job of this one was filed so long ago: the ids that it had left are
-- skipped. Returns whether that was so. Whoever has taken ids before may still file jobs under them. Where many partitions stand, because
-- little of each may go, new ones are as large as ever: plans and lists look at all of them.
CREATE FUNCTION farm.begin_next_partition(older_than interval) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog
SET lock_timeout = '20ms'
AS $$
DECLARE
    given_id bigint;
    current farm.partition;
    next_id bigint;
    first_at timestamptz;
BEGIN
    SELECT s.last_value INTO given_id FROM farm.job_id_seq AS s;
    SELECT * INTO current FROM farm.partition AS p WHERE p.lower_id <= given_id AND p.upper_id > given_id;
    IF current.number IS NULL OR (SELECT count(*) >= 90 FROM farm.partition) THEN
        RETURN false;
    END IF;
    EXECUTE format('SELECT j.created_at FROM farm.%I AS j WHERE j.shard = 0 ORDER BY j.id LIMIT 1',
        farm.partition_table('job', current.number, current.revision))
    INTO first_at;
    IF first_at IS NULL OR first_at > now() - older_than THEN
        RETURN false;
    END IF;
    PERFORM farm.ensure_partitions(current.upper_id, 2);
    PERFORM pg_advisory_xact_lock(1717662317, 2);
    -- Changes nothing, and waits for those who are taking ids: none is given out from here on.
    ALTER SEQUENCE farm.job_id_seq NO CYCLE;
    SELECT s.last_value INTO given_id FROM farm.job_id_seq AS s;
    next_id := current.upper_id;
    IF given_id >= next_id - 1 THEN
        RETURN false;
    END IF;
    EXECUTE format('ALTER SEQUENCE farm.job_id_seq RESTART WITH %s', next_id - 1);
    PERFORM nextval('farm.job_id_seq');
    -- What was skipped was not used: the size of partitions goes by the rate.
    UPDATE farm.partition AS p SET last_id = p.last_id + next_id - 1 - given_id;
    RETURN true;
EXCEPTION WHEN lock_not_available THEN
    RETURN false;
END
$$;

-- Look at up to 200 jobs of a partition, evenly spread over its ids: how many were found, how many of them retention would remove by now, and
-- whether the partition is small. Each counts once, however many ids in front of it nobody has.
CREATE FUNCTION farm.sample_partition(
    number int, succeeded_before timestamptz, failed_before timestamptz, cancelled_before timestamptz
) RETURNS TABLE (looked int, going int, is_small boolean)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET cpu_index_tuple_cost = 0.005
SET jit = off
AS $$
DECLARE
    jobs text;
    results text;
BEGIN
    SELECT farm.partition_table('job', p.number, p.revision), farm.partition_table('result', p.number, p.revision)
    INTO jobs, results
    FROM farm.partition AS p
    WHERE p.number = sample_partition.number;
    EXECUTE format(
        'SELECT count(*)::int, count(*) FILTER (WHERE r.finished_at < CASE r.status WHEN 1 THEN $1 WHEN 2 THEN $2 ELSE $3 END)::int'
            ' FROM (SELECT DISTINCT n.id FROM (SELECT min(j.id) AS low, max(j.id) AS high FROM farm.%I AS j WHERE j.shard = 0) AS b'
            ' CROSS JOIN generate_series(0, 199) AS g (place)'
            ' CROSS JOIN LATERAL (SELECT j.id FROM farm.%I AS j WHERE j.shard = 0 AND j.id >= b.low + (b.high - b.low) * g.place / 199'
            ' ORDER BY j.id LIMIT 1) AS n) AS j'
            ' LEFT JOIN farm.%I AS r ON r.shard = 0 AND r.job_id = j.id',
        jobs, jobs, results)
    INTO looked, going
    USING succeeded_before, failed_before, cancelled_before;
    is_small := pg_relation_size(format('farm.%I', jobs)::regclass) < 16777216;
    RETURN NEXT;
END
$$;

-- Count a partition: its jobs, those that have not ended, those that retention would remove by now, and its size. Reads it whole.
CREATE FUNCTION farm.count_partition(
    number int, succeeded_before timestamptz, failed_before timestamptz, cancelled_before timestamptz
) RETURNS TABLE (jobs bigint, unfinished bigint, succeeded bigint, failed bigint, cancelled bigint, bytes bigint)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog
SET enable_nestloop = off
SET cpu_index_tuple_cost = 0.005
SET jit = off
AS $$
DECLARE
    tables text[];
BEGIN
    SELECT array_agg(farm.partition_table(u.parent, p.number, p.revision) ORDER BY u.parent)
    INTO tables
    FROM farm.partition AS p
    CROSS JOIN unnest(ARRAY['failure', 'job', 'result']) AS u (parent)
    WHERE p.number = count_partition.number;
    EXECUTE format(
        'SELECT count(*), count(*) FILTER (WHERE r.job_id IS NULL),'
            ' count(*) FILTER (WHERE r.status = 1 AND r.finished_at < $1),'
            ' count(*) FILTER (WHERE r.status = 2 AND r.finished_at < $2),'
            ' count(*) FILTER (WHERE r.status = 3 AND r.finished_at < $3)'
            ' FROM farm.%I AS j LEFT JOIN farm.%I AS r ON r.shard = 0 AND r.job_id = j.id'
            ' WHERE j.shard = 0',
        tables[2], tables[3])
    INTO jobs, unfinished, succeeded, failed, cancelled
    USING succeeded_before, failed_before, cancelled_before;
    SELECT sum(pg_total_relation_size(format('farm.%I', t.name)::regclass)) INTO bytes FROM unnest(tables) AS t (name);
    RETURN NEXT;
END
$$;

-- Begin to put neighbouring partitions together anew: make the tables, empty, and have what changes in the old ones noted from now on. False:
-- somebody else is at it, somebody writes into one of them just now, or new jobs go there.
CREATE FUNCTION farm.begin_pruning(
    first_number int, last_number int, succeeded_before timestamptz, failed_before timestamptz, cancelled_before timestamptz
) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog
SET lock_timeout = '20ms'
AS $$
DECLARE
    old farm.partition[];
    new farm.pruning;
    parent text;
    column_name text;
    place int;
BEGIN
    IF NOT pg_try_advisory_xact_lock(1717662317, 3) OR EXISTS (SELECT FROM farm.pruning) THEN
        RETURN false;
    END IF;
    SELECT array_agg(p ORDER BY p.lower_id), array_agg(p.number ORDER BY p.lower_id), min(p.lower_id), max(p.upper_id)
    INTO old, new.numbers, new.lower_id, new.upper_id
    FROM farm.partition AS p
    WHERE p.number BETWEEN first_number AND last_number;
    IF new.upper_id IS NULL OR new.upper_id > (SELECT s.last_value FROM farm.job_id_seq AS s) + 1 THEN
        RETURN false;
    END IF;
    new.revision := old[cardinality(old)].revision + 1;
    FOREACH parent IN ARRAY ARRAY['job', 'result', 'failure'] LOOP
        column_name := CASE parent WHEN 'job' THEN 'id' ELSE 'job_id' END;
        -- The check spares a look at every row when it takes its place.
        EXECUTE format(
            'CREATE TABLE farm.%I (LIKE farm.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE INCLUDING INDEXES,'
                ' CONSTRAINT in_partition CHECK (%I >= %s AND %I < %s))',
            farm.partition_table(parent, last_number, new.revision), parent, column_name, new.lower_id, column_name, new.upper_id);
        FOR place IN 1 .. cardinality(old) LOOP
            -- Waits for whoever is writing there: what is committed after this is noted, what was before is seen by whoever copies.
            EXECUTE format(
                'CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE ON farm.%I FOR EACH ROW EXECUTE FUNCTION farm.note_change(%L)',
                farm.partition_table(parent, old[place].number, old[place].revision), parent);
        END LOOP;
    END LOOP;
    TRUNCATE farm.pruning_change;
    INSERT INTO farm.pruning (numbers, lower_id, upper_id, revision, succeeded_before, failed_before, cancelled_before, next_id)
    VALUES (
        new.numbers, new.lower_id, new.upper_id, new.revision,
        begin_pruning.succeeded_before, begin_pruning.failed_before, begin_pruning.cancelled_before, new.lower_id
    );
    RETURN true;
EXCEPTION WHEN lock_not_available THEN
    RETURN false;
END
$$;

-- Copy what is to stay of the jobs from an id on up to another (not included), or of these jobs alone (null: of all). Returns how many jobs
-- that was.
CREATE FUNCTION farm.copy_kept(pruning farm.pruning, from_id bigint, to_id bigint, ids bigint[]) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_nestloop = off
SET enable_hashjoin = on
SET cpu_index_tuple_cost = 0.005
SET max_parallel_workers_per_gather = 0
SET jit = off
AS $$
DECLARE
    -- Written into the statements, so that they open the partitions concerned alone.
    within CONSTANT text := format('BETWEEN %s AND %s', from_id, to_id - 1);
    goes CONSTANT text := format(
        '(%%I.finished_at < CASE %%I.status WHEN 1 THEN %L::timestamptz WHEN 2 THEN %L::timestamptz ELSE %L::timestamptz END)',
        pruning.succeeded_before, pruning.failed_before, pruning.cancelled_before);
    parent text;
    key text;
    copied bigint;
    copied_jobs bigint;
BEGIN
    FOREACH parent IN ARRAY ARRAY['job', 'result', 'failure'] LOOP
        key := CASE parent WHEN 'job' THEN 'id' ELSE 'job_id' END;
        -- Of the results each says itself what becomes of it. Failures are few, as are jobs that are named: looked up one by one (OFFSET 0),
        -- where a join would read all results between them.
        EXECUTE format(
            'INSERT INTO farm.%I SELECT k.* FROM farm.%I AS k WHERE k.shard = 0 AND k.%I %s%s AND NOT %s',
            farm.partition_table(parent, pruning.numbers[cardinality(pruning.numbers)], pruning.revision), parent, key, within,
            CASE WHEN ids IS NOT NULL THEN format(' AND k.%I = ANY (%L::bigint[])', key, ids) END,
            CASE parent
                WHEN 'result' THEN format(goes, 'k', 'k')
                ELSE format(
                    'EXISTS (SELECT FROM farm.result AS r WHERE r.shard = 0 AND r.job_id = k.%I AND r.job_id %s AND %s%s)',
                    key, within, format(goes, 'r', 'r'), CASE WHEN parent = 'failure' OR ids IS NOT NULL THEN ' OFFSET 0' END)
            END);
        GET DIAGNOSTICS copied = ROW_COUNT;
        IF parent = 'job' THEN
            copied_jobs := copied;
        END IF;
    END LOOP;
    RETURN copied_jobs;
END
$$;

-- Copy those jobs again of which something has changed since; returns how many there were. What lies ahead will be copied as it is then.
CREATE FUNCTION farm.copy_changes(pruning farm.pruning) RETURNS int
LANGUAGE plpgsql
SET search_path = pg_catalog
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $$
DECLARE
    ids bigint[];
    parent text;
BEGIN
    WITH noted AS (
        DELETE FROM farm.pruning_change AS c
        WHERE c.ctid = ANY (ARRAY(SELECT n.ctid FROM farm.pruning_change AS n LIMIT 10000))
        RETURNING c.job_id
    )
    SELECT array_agg(DISTINCT n.job_id) INTO ids FROM noted AS n WHERE n.job_id < pruning.next_id;
    IF ids IS NULL THEN
        RETURN 0;
    END IF;
    -- Only now, in statements that see all that was noted until then.
    FOREACH parent IN ARRAY ARRAY['job', 'result', 'failure'] LOOP
        EXECUTE format(
            'DELETE FROM farm.%I AS k WHERE k.shard = 0 AND k.%I = ANY ($1)',
            farm.partition_table(parent, pruning.numbers[cardinality(pruning.numbers)], pruning.revision),
            CASE parent WHEN 'job' THEN 'id' ELSE 'job_id' END)
        USING ids;
    END LOOP;
    PERFORM farm.copy_kept(pruning, (SELECT min(u.id) FROM unnest(ids) AS u (id)), (SELECT max(u.id) + 1 FROM unnest(ids) AS u (id)), ids);
    RETURN cardinality(ids);
END
$$;

-- Give up what is being put together, if the tables have got other columns since, as by a migration: whoever looks next begins anew. False:
-- they have not.
CREATE FUNCTION farm.give_up_pruning(pruning farm.pruning) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog
SET lock_timeout = '20ms'
AS $$
DECLARE
    newest CONSTANT int := pruning.numbers[cardinality(pruning.numbers)];
    parent text;
    old farm.partition;
BEGIN
    IF (
        SELECT count(*) = count(DISTINCT (u.parent, a.attname, a.atttypid)) * 2
        FROM unnest(ARRAY['job', 'result', 'failure']) AS u (parent)
        CROSS JOIN LATERAL (VALUES (u.parent), (farm.partition_table(u.parent, newest, pruning.revision))) AS t (name)
        JOIN pg_attribute AS a ON a.attrelid = format('farm.%I', t.name)::regclass AND a.attnum > 0 AND NOT a.attisdropped
    ) THEN
        RETURN false;
    END IF;
    FOREACH parent IN ARRAY ARRAY['job', 'result', 'failure'] LOOP
        FOR old IN SELECT * FROM farm.partition AS p WHERE p.number = ANY (pruning.numbers) LOOP
            EXECUTE format('DROP TRIGGER note_change ON farm.%I', farm.partition_table(parent, old.number, old.revision));
        END LOOP;
        EXECUTE format('DROP TABLE farm.%I', farm.partition_table(parent, newest, pruning.revision));
    END LOOP;
    DELETE FROM farm.pruning AS p;
    RETURN true;
END
$$;

-- Go on with what is being put together, by up to jobs_max jobs, and rest then so long that it takes this share of the time. Returns how far
-- it has come: `none` is under way; `copying`; `copied`: now it can take its place; `busy`: somebody else is at it. And after how
-- long to come again.
CREATE FUNCTION farm.go_on_pruning(jobs_max int, share float8)
RETURNS TABLE (state text, wait_s float8, jobs bigint, kept bigint, done float8)
LANGUAGE plpgsql
SET search_path = pg_catalog
AS $$
#variable_conflict use_variable
DECLARE
    began_at CONSTANT timestamptz := clock_timestamp();
    pruning farm.pruning;
    upto_id bigint;
    looked int;
BEGIN
    state := 'none';
    wait_s := 0;
    IF NOT pg_try_advisory_xact_lock(1717662317, 3) THEN
        state := 'busy';
        wait_s := 1;
        RETURN NEXT;
        RETURN;
    END IF;
    SELECT * INTO pruning FROM farm.pruning;
    IF NOT FOUND THEN
        RETURN NEXT;
        RETURN;
    END IF;
    BEGIN
        IF farm.give_up_pruning(pruning) THEN
            RETURN NEXT;
            RETURN;
        END IF;
    EXCEPTION WHEN lock_not_available THEN
        state := 'busy';
        wait_s := 1;
        RETURN NEXT;
        RETURN;
    END;
    jobs := pruning.jobs;
    kept := pruning.kept;
    wait_s := greatest(0, extract(epoch FROM pruning.next_step_at - began_at));
    IF wait_s > 60 THEN
        -- Nobody rests for so long: the server's clock was ahead.
        wait_s := 0;
    END IF;
    IF pruning.next_id < pruning.upper_id AND (wait_s = 0 OR share >= 1) THEN
        EXECUTE format(
            'SELECT max(p.id) + 1, count(*) FROM (SELECT j.id FROM farm.job AS j WHERE j.shard = 0 AND j.id BETWEEN %s AND %s ORDER BY j.id LIMIT %s) AS p',
            pruning.next_id, pruning.upper_id - 1, jobs_max)
        INTO upto_id, looked;
        IF looked < jobs_max THEN
            upto_id := pruning.upper_id;
        END IF;
        jobs := jobs + looked;
        kept := kept + farm.copy_kept(pruning, pruning.next_id, upto_id, NULL);
        wait_s := least(60, extract(epoch FROM clock_timestamp() - began_at) * (1 / share - 1));
        UPDATE farm.pruning AS p
        SET next_id = upto_id, jobs = go_on_pruning.jobs, kept = go_on_pruning.kept,
            next_step_at = clock_timestamp() + make_interval(secs => wait_s);
        pruning.next_id := upto_id;
    END IF;
    state := CASE WHEN pruning.next_id < pruning.upper_id THEN 'copying' ELSE 'copied' END;
    done := (pruning.next_id - pruning.lower_id)::float8 / (pruning.upper_id - pruning.lower_id);
    RETURN NEXT;
END
$$;

-- Have what was put together take the place of the old partitions. Nobody may be reading or writing the tables at that moment: it waits for
-- that for so many milliseconds, and everybody else behind it; then it gives up. Returns `pruned`, `locked`: to be tried again, or `none`:
-- there is nothing to do.
CREATE FUNCTION farm.finish_pruning(lock_ms int) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog
AS $$
DECLARE
    pruning farm.pruning;
    newest int;
    old farm.partition;
    parent text;
    old_name text;
    began_at CONSTANT timestamptz := clock_timestamp();
    give_up_at timestamptz;
    left_ms int;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'farm.finish_pruning needs READ COMMITTED: it has to see what was committed before it had its locks';
    END IF;
    SELECT * INTO pruning FROM farm.pruning WHERE pg_try_advisory_xact_lock(1717662317, 3);
    IF NOT FOUND OR pruning.next_id < pruning.upper_id THEN
        RETURN 'none';
    END IF;
    newest := pruning.numbers[cardinality(pruning.numbers)];
    -- As much as can be without a lock; of very much a part, which is done with when it is tried again. There may always be a few.
    WHILE farm.copy_changes(pruning) > 200 LOOP
        IF clock_timestamp() > began_at + interval '200 ms' THEN
            RETURN 'locked';
        END IF;
    END LOOP;
    BEGIN
        FOREACH parent IN ARRAY ARRAY['job', 'result', 'failure'] LOOP
            EXECUTE format('LOCK TABLE farm.%I IN ACCESS EXCLUSIVE MODE NOWAIT', farm.partition_table(parent, newest, pruning.revision));
        END LOOP;
        -- The tables before their partitions: who waits for us here holds nothing that we are going to need.
        give_up_at := clock_timestamp() + make_interval(secs => lock_ms / 1000.0);
        FOREACH parent IN ARRAY ARRAY['result', 'job', 'failure'] LOOP
            left_ms := greatest(1, extract(epoch FROM give_up_at - clock_timestamp()) * 1000);
            PERFORM set_config('lock_timeout', left_ms || 'ms', true);
            EXECUTE format('LOCK TABLE ONLY farm.%I IN ACCESS EXCLUSIVE MODE', parent);
        END LOOP;
        FOR old IN SELECT * FROM farm.partition AS p WHERE p.number = ANY (pruning.numbers) LOOP
            FOREACH parent IN ARRAY ARRAY['job', 'result', 'failure'] LOOP
                old_name := farm.partition_table(parent, old.number, old.revision);
                EXECUTE format('LOCK TABLE farm.%I IN ACCESS EXCLUSIVE MODE NOWAIT', old_name);
            END LOOP;
        END LOOP;
        IF (SELECT count(*) FROM (SELECT FROM farm.pruning_change LIMIT 1001) AS c) > 1000 THEN
            -- Too much to be copied while everybody waits.
            RAISE lock_not_available;
        END IF;
        PERFORM farm.copy_changes(pruning);
        FOR old IN SELECT * FROM farm.partition AS p WHERE p.number = ANY (pruning.numbers) LOOP
            FOREACH parent IN ARRAY ARRAY['job', 'result', 'failure'] LOOP
                old_name := farm.partition_table(parent, old.number, old.revision);
                EXECUTE format('ALTER TABLE farm.%I DETACH PARTITION farm.%I', parent, old_name);
                INSERT INTO farm.pruned_table (name) VALUES (old_name);
            END LOOP;
        END LOOP;
        FOREACH parent IN ARRAY ARRAY['job', 'result', 'failure'] LOOP
            EXECUTE format('ALTER TABLE farm.%I ATTACH PARTITION farm.%I FOR VALUES FROM (%s) TO (%s)',
                parent, farm.partition_table(parent, newest, pruning.revision), pruning.lower_id, pruning.upper_id);
        END LOOP;
        DELETE FROM farm.partition AS p WHERE p.number = ANY (pruning.numbers) AND p.number <> newest;
        UPDATE farm.partition AS p
        SET lower_id = pruning.lower_id, revision = pruning.revision, kept_jobs = pruning.kept
        WHERE p.number = newest;
        DELETE FROM farm.pruning AS p;
        RETURN 'pruned';
    EXCEPTION WHEN lock_not_available THEN
        RETURN 'locked';
    END;
END
$$;

-- Drop a table that is a partition no more; returns whether there was one.
CREATE FUNCTION farm.drop_pruned() RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog
SET lock_timeout = '20ms'
AS $$
DECLARE
    gone text;
BEGIN
    DELETE FROM farm.pruned_table AS t
    WHERE t.ctid = (SELECT p.ctid FROM farm.pruned_table AS p ORDER BY p.name LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING t.name INTO gone;
    IF gone IS NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP TABLE IF EXISTS farm.%I', gone);
    RETURN true;
EXCEPTION WHEN lock_not_available OR internal_error THEN
    -- The latter for a moment after the table was detached: a session may know what was committed, and not yet that this is no partition
    -- any more (`could not find tuple for parent of relation`).
    RETURN false;
END
$$;
