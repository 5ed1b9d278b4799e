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

-- Tell those who wait for one of these jobs, if it has ended: a message of up to 300 ids for each of them. What somebody else has locked
-- is passed over, so that a commit waits for nobody; who waits looks for itself, too. A function, because its plan is then made once for
-- a connection. OFFSET 0 keeps the planner from reading all results between those that are asked for.
CREATE FUNCTION farm.tell_waiters(ended_ids bigint[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog
AS $$
DECLARE
    message record;
BEGIN
    FOR message IN
        WITH ended AS MATERIALIZED (
            SELECT w.ctid
            FROM farm.waiter AS w
            WHERE w.shard = 0
                AND w.job_id = ANY (ended_ids)
                AND EXISTS (SELECT FROM farm.result AS r WHERE r.shard = 0 AND r.job_id = w.job_id OFFSET 0)
            FOR UPDATE OF w SKIP LOCKED
        ),
        told AS (
            DELETE FROM farm.waiter AS w
            WHERE w.shard = 0 AND w.ctid = ANY (ARRAY(SELECT e.ctid FROM ended AS e))
            RETURNING w.pid, w.job_id
        ),
        numbered AS (
            SELECT t.pid, t.job_id, row_number() OVER (PARTITION BY t.pid) AS number
            FROM told AS t
        )
        SELECT n.pid, string_agg(n.job_id::text, ',') AS job_ids
        FROM numbered AS n
        GROUP BY n.pid, n.number / 300
    LOOP
        PERFORM pg_notify('farm_wait_' || message.pid, message.job_ids);
    END LOOP;
END
$$;
