-- What a host says of itself beside its sign of life: how its lanes do, and how far its jobs are.

-- As of the last beat. By lane: its subworkers, how busy they are, what keeps it from claiming (farm/supervisor/lanestate.py has the keys).
-- The row is rewritten with each beat anyhow, so these cost no version of their own.
ALTER TABLE farm.heartbeat
    ADD COLUMN lanes jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN paused_queues text[] NOT NULL DEFAULT '{}';

-- Which runners a host has: a job of another one is not for it.
ALTER TABLE farm.host ADD COLUMN runners text[] NOT NULL DEFAULT '{}';

-- What running jobs have said of their progress: a row for each host, rewritten only when any of it has changed. Place i of the lists is the
-- same job's. A job that the host's heartbeat does not list as running has said nothing, whatever stands here.
CREATE TABLE farm.progress (
    shard smallint NOT NULL DEFAULT 0,
    host_id int NOT NULL,
    job_ids bigint[] NOT NULL,
    fractions float8[] NOT NULL,
    texts text[] NOT NULL,
    PRIMARY KEY (shard, host_id)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, vacuum_truncate = off);
