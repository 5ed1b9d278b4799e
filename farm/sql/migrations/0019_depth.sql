-- How deep the queues are, as one host has counted it for all: whoever shows it reads this row, and only who takes its turn counts.
CREATE TABLE farm.depth (
    shard smallint PRIMARY KEY DEFAULT 0 CHECK (shard = 0),
    counted_at timestamptz NOT NULL DEFAULT '-infinity',
    -- Nobody counts before that: a hundred times as long after a count as it took.
    due_at timestamptz NOT NULL DEFAULT '-infinity',
    -- [{"queue", "ready", "more": true where there are more than could be counted, "oldest_s": at counted_at, null if nothing waits}]
    queues jsonb NOT NULL DEFAULT '[]'
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, vacuum_truncate = off);

INSERT INTO farm.depth DEFAULT VALUES;
