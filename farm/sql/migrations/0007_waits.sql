-- Programs that wait for the end of a job. A row stands from when a program begins to wait until it is told. Unlogged: who waits looks
-- from time to time all the same, so after a crash nothing is missing but speed.
CREATE UNLOGGED TABLE farm.waiter (
    job_id bigint NOT NULL,
    pid int NOT NULL,
    shard smallint NOT NULL DEFAULT 0,
    PRIMARY KEY (shard, job_id, pid)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off);

COMMENT ON COLUMN farm.waiter.pid IS 'the server process that listens for it, on channel farm_wait_<pid>';

-- Hear of the ends of jobs for which this session has registered. A function, since LISTEN takes no value for its channel.
CREATE FUNCTION farm.listen_for_ends() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog
AS $$
BEGIN
    EXECUTE format('LISTEN %I', 'farm_wait_' || pg_backend_pid());
END
$$;
