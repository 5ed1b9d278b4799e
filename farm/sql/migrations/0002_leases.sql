-- Hosts, what they hold, and what became of it.

-- One row per supervisor boot, static; rows stay, because results name their host through the lease id.
CREATE TABLE farm.host (
    id int PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    instance text NOT NULL,
    name text NOT NULL,
    lanes jsonb NOT NULL,
    capacity int NOT NULL,
    memory_bytes bigint NOT NULL,
    version text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now()
);

-- A host's sign of life: state, beat and running set in one row, so that retiring is one compare-and-set. Retired is for ever.
CREATE TABLE farm.heartbeat (
    host_id int PRIMARY KEY,
    state text NOT NULL DEFAULT 'live' CHECK (state IN ('live', 'retired')),
    beat bigint NOT NULL DEFAULT 0,
    beat_at timestamptz NOT NULL DEFAULT now(),
    running bigint[] NOT NULL DEFAULT '{}',
    started_at timestamptz[] NOT NULL DEFAULT '{}'
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, vacuum_truncate = off);

-- Lanes that sleep and want to be woken, with the classes that they serve (null: all).
CREATE TABLE farm.idle (
    shard smallint NOT NULL DEFAULT 0,
    host_id int NOT NULL,
    lane text NOT NULL,
    classes int[],
    PRIMARY KEY (shard, host_id, lane)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, vacuum_truncate = off);

-- One row per claimed batch. id = host id << 32 + claim number, chosen by the claimer. Position i (from 0) of job_ids has bit i of
-- `done`. attempts and losts are null when all are 0. job_ids stays out of line and uncompressed: a commit rewrites the bits only.
CREATE TABLE farm.lease (
    id bigint NOT NULL,
    claimed_at timestamptz NOT NULL DEFAULT now(),
    n int NOT NULL,
    shard smallint NOT NULL DEFAULT 0,
    job_ids bigint[] NOT NULL,
    attempts smallint[],
    losts smallint[],
    done bytea NOT NULL,
    PRIMARY KEY (shard, id)
) WITH (
    fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0,
    toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 2000, toast.autovacuum_vacuum_cost_delay = 0,
    vacuum_truncate = off, toast.vacuum_truncate = off
);

ALTER TABLE farm.lease ALTER COLUMN job_ids SET STORAGE EXTERNAL;

-- The final outcome of a job: at most one, by its key. status: 1 succeeded, 2 failed, 3 cancelled. attempt: how many were used, the
-- last one included. docs/decisions/0001 says why no btree stands on finished_at.
CREATE TABLE farm.result (
    job_id bigint NOT NULL,
    lease_id bigint,
    started_at timestamptz,
    finished_at timestamptz NOT NULL,
    shard smallint NOT NULL DEFAULT 0,
    status smallint NOT NULL CHECK (status BETWEEN 1 AND 3),
    attempt smallint NOT NULL,
    value jsonb,
    error jsonb,
    PRIMARY KEY (shard, job_id)
) PARTITION BY RANGE (job_id);

CREATE INDEX result_finished_at ON farm.result USING brin (finished_at) WITH (pages_per_range = 32);
CREATE INDEX result_unsuccessful ON farm.result (shard, job_id) WHERE status <> 1;

-- One row per used attempt that did not end in success.
CREATE TABLE farm.failure (
    job_id bigint NOT NULL,
    lease_id bigint NOT NULL,
    started_at timestamptz,
    finished_at timestamptz NOT NULL,
    shard smallint NOT NULL DEFAULT 0,
    attempt smallint NOT NULL,
    kind text NOT NULL,
    error jsonb,
    PRIMARY KEY (shard, job_id, lease_id, attempt)
) PARTITION BY RANGE (job_id);
