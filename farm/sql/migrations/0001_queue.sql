-- Jobs and the three places in which a job waits. Every hot table carries `shard` (0) in its keys, and every hot statement says shard = 0.

-- What a lane can or cannot serve: the jobs of one queue, one runner and one memory class (0: none). Made at enqueue.
CREATE TABLE farm.class (
    shard smallint NOT NULL DEFAULT 0,
    id int NOT NULL GENERATED ALWAYS AS IDENTITY,
    queue text NOT NULL,
    runner text NOT NULL,
    memory_mb int NOT NULL DEFAULT 0,
    PRIMARY KEY (shard, id),
    UNIQUE (shard, queue, runner, memory_mb)
);

CREATE SEQUENCE farm.job_id_seq AS bigint;

-- A job as it was enqueued: written once, never updated. Times that clients cannot read would make every list with them fail.
CREATE TABLE farm.job (
    id bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    run_at timestamptz CHECK (run_at >= '2000-01-01 00:00:00+00' AND run_at < '2200-01-01 00:00:00+00'),
    class_id int NOT NULL,
    timeout_ms int,
    shard smallint NOT NULL DEFAULT 0,
    priority smallint NOT NULL,
    max_attempts smallint,
    task text NOT NULL,
    args jsonb NOT NULL,
    PRIMARY KEY (shard, id)
) PARTITION BY RANGE (id);

-- The queue. Only jobs that never ran and never were lost stand here, so a row needs no attempt: 16 bytes of data, columns ordered
-- so that none is lost to alignment. Rows are inserted and deleted, never updated, which keeps DELETE by ctid safe.
CREATE TABLE farm.ready (
    job_id bigint NOT NULL,
    class_id int NOT NULL,
    shard smallint NOT NULL DEFAULT 0,
    priority smallint NOT NULL,
    PRIMARY KEY (shard, class_id, priority, job_id)
) WITH (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_cost_delay = 0,
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 1000000, vacuum_truncate = off
);

-- What came back (retried, released, reaped, promoted): old ids, which would lie below the bound from which `ready` is claimed.
CREATE TABLE farm.returned (
    job_id bigint NOT NULL,
    class_id int NOT NULL,
    shard smallint NOT NULL DEFAULT 0,
    priority smallint NOT NULL,
    attempt smallint NOT NULL,
    lost smallint NOT NULL,
    PRIMARY KEY (shard, class_id, priority, job_id)
) WITH (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0,
    vacuum_truncate = off
);

CREATE TABLE farm.scheduled (
    job_id bigint NOT NULL,
    run_at timestamptz NOT NULL CHECK (run_at >= '2000-01-01 00:00:00+00' AND run_at < '2200-01-01 00:00:00+00'),
    class_id int NOT NULL,
    shard smallint NOT NULL DEFAULT 0,
    priority smallint NOT NULL,
    attempt smallint NOT NULL,
    lost smallint NOT NULL,
    PRIMARY KEY (shard, run_at, job_id)
) WITH (
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0,
    vacuum_truncate = off
);

CREATE UNIQUE INDEX scheduled_job_id ON farm.scheduled (shard, job_id);
