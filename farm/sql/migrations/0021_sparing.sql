-- To keep jobs longer spares those of a partition, too, that is being put together anew just then, with the times of before.

-- Give up what is being put together: the old partitions stay as they are, and whoever looks next may begin anew.
CREATE FUNCTION farm.drop_pruning(pruning farm.pruning) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog
SET lock_timeout = '20ms'
AS $$
DECLARE
    newest CONSTANT int := pruning.numbers[cardinality(pruning.numbers)];
    parent text;
    old farm.partition;
BEGIN
    FOREACH parent IN ARRAY ARRAY['job', 'result', 'failure'] LOOP
        FOR old IN SELECT * FROM farm.partition AS p WHERE p.number = ANY (pruning.numbers) LOOP
            EXECUTE format('DROP TRIGGER note_change ON farm.%I', farm.partition_table(parent, old.number, old.revision));
        END LOOP;
        EXECUTE format('DROP TABLE farm.%I', farm.partition_table(parent, newest, pruning.revision));
    END LOOP;
    DELETE FROM farm.pruning AS p;
END
$$;

-- Give up what is being put together, if the tables have got other columns since, as by a migration: whoever looks next begins anew. False:
-- they have not.
CREATE OR REPLACE FUNCTION farm.give_up_pruning(pruning farm.pruning) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog
SET lock_timeout = '20ms'
AS $$
DECLARE
    newest CONSTANT int := pruning.numbers[cardinality(pruning.numbers)];
BEGIN
    IF (
        SELECT count(*) = count(DISTINCT (u.parent, a.attname, a.atttypid)) * 2
        FROM unnest(ARRAY['job', 'result', 'failure']) AS u (parent)
        CROSS JOIN LATERAL (VALUES (u.parent), (farm.partition_table(u.parent, newest, pruning.revision))) AS t (name)
        JOIN pg_attribute AS a ON a.attrelid = format('farm.%I', t.name)::regclass AND a.attnum > 0 AND NOT a.attisdropped
    ) THEN
        RETURN false;
    END IF;
    PERFORM farm.drop_pruning(pruning);
    RETURN true;
END
$$;

-- Give up what is being put together, if it was begun with shorter times than these, in seconds (null: for ever). Returns `spared`; `none`:
-- nothing is under way that would remove more than these times allow; or `busy`: somebody is at it, to be asked again.
CREATE FUNCTION farm.spare_range(succeeded_s float8, failed_s float8, cancelled_s float8) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog
AS $$
DECLARE
    pruning farm.pruning;
BEGIN
    IF NOT pg_try_advisory_xact_lock(1717662317, 3) THEN
        RETURN 'busy';
    END IF;
    -- Only now, in a statement that sees what was done before.
    SELECT * INTO pruning
    FROM farm.pruning AS p
    WHERE p.succeeded_before > coalesce(p.begun_at - make_interval(secs => succeeded_s), '-infinity')
        OR p.failed_before > coalesce(p.begun_at - make_interval(secs => failed_s), '-infinity')
        OR p.cancelled_before > coalesce(p.begun_at - make_interval(secs => cancelled_s), '-infinity');
    IF NOT FOUND THEN
        RETURN 'none';
    END IF;
    PERFORM farm.drop_pruning(pruning);
    RETURN 'spared';
EXCEPTION WHEN lock_not_available THEN
    RETURN 'busy';
END
$$;
