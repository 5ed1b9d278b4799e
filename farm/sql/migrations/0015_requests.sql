-- What somebody asks of a farm that runs on another host: to pause, to resume, to drain, to reload. The host reads its requests when it is
-- notified, or with its next heartbeat, does what is asked, and answers into the row.

-- Whoever may insert here can stop farms.
CREATE TABLE farm.host_request (
    id bigint GENERATED ALWAYS AS IDENTITY,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    answered_at timestamptz,
    host_id int NOT NULL,
    shard smallint NOT NULL DEFAULT 0,
    kind text NOT NULL CHECK (length(kind) <= 20),
    made_by text NOT NULL DEFAULT session_user CHECK (length(made_by) <= 200),
    -- A farm reads no more through its control socket, either.
    arguments jsonb NOT NULL DEFAULT '{}' CHECK (octet_length(arguments::text) <= 16384),
    answer jsonb,
    PRIMARY KEY (shard, id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off);

COMMENT ON COLUMN farm.host_request.kind IS 'pause, resume, drain or reload';
COMMENT ON COLUMN farm.host_request.answer IS '{"ok": true, "said": [...]}, or {"error": "..."}: then nothing was done';

-- Every heartbeat looks here.
CREATE INDEX host_request_unanswered ON farm.host_request (shard, host_id, id) WHERE answered_at IS NULL;
