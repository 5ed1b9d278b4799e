-- Partitions of job, result and failure, all three by the same ranges of job ids.

CREATE TABLE farm.partition (
    number int PRIMARY KEY,
    lower_id bigint NOT NULL UNIQUE,
    upper_id bigint NOT NULL UNIQUE,
    last_id bigint NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now()
);

COMMENT ON COLUMN farm.partition.upper_id IS 'the first id that is not in it';
COMMENT ON COLUMN farm.partition.last_id IS 'the last job id given out when it was made: tells the rate at which ids are used';

CREATE FUNCTION farm.partitions_suffice(up_to bigint, ahead int) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog
AS $$
    SELECT coalesce(max(p.upper_id) > up_to, false) AND count(*) FILTER (WHERE p.lower_id > up_to) >= ahead
    FROM farm.partition AS p
$$;

-- Make partitions until the id up_to has one and `ahead` more stand above it; returns how many were made. A new one holds 5 million
-- ids, or an hour of them at the rate since the one before was made. They are made aside and attached, since attaching, unlike
-- CREATE TABLE ... PARTITION OF, does not lock out readers and writers of the parents.
CREATE FUNCTION farm.ensure_partitions(up_to bigint, ahead int DEFAULT 0) RETURNS int
LANGUAGE plpgsql
SET search_path = pg_catalog
AS $$
DECLARE
    newest farm.partition;
    next_number int;
    lower_id bigint;
    upper_id bigint;
    last_id bigint;
    parent text;
    made int := 0;
BEGIN
    IF farm.partitions_suffice(up_to, ahead) THEN
        RETURN 0;
    END IF;
    -- Somebody else may be making the same ones: look again once the lock is ours.
    PERFORM pg_advisory_xact_lock(1717662317, 2);
    WHILE NOT farm.partitions_suffice(up_to, ahead) LOOP
        SELECT * INTO newest FROM farm.partition AS p ORDER BY p.number DESC LIMIT 1;
        SELECT CASE WHEN s.is_called THEN s.last_value ELSE 0 END INTO last_id FROM farm.job_id_seq AS s;
        next_number := coalesce(newest.number, 0) + 1;
        lower_id := coalesce(newest.upper_id, 0);
        upper_id := lower_id + greatest(5000000, least(1000000000, coalesce(
            (last_id - newest.last_id) / greatest(60, extract(epoch FROM now() - newest.made_at)) * 3600, 0)::bigint));
        FOREACH parent IN ARRAY ARRAY['job', 'result', 'failure'] LOOP
            EXECUTE format('CREATE TABLE farm.%I (LIKE farm.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)',
                parent || '_p' || next_number, parent);
            EXECUTE format('ALTER TABLE farm.%I ATTACH PARTITION farm.%I FOR VALUES FROM (%s) TO (%s)',
                parent, parent || '_p' || next_number, lower_id, upper_id);
        END LOOP;
        INSERT INTO farm.partition (number, lower_id, upper_id, last_id) VALUES (next_number, lower_id, upper_id, last_id);
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;

-- The first 20 million ids.
SELECT farm.ensure_partitions(19999999);
