-- File one job and return its id.
SELECT farm.enqueue(
    %(task)s::text,
    %(args)s::jsonb,
    queue => %(queue)s::text,
    runner => %(runner)s::text,
    priority => %(priority)s::int,
    delay_s => %(delay_s)s::float8,
    run_at => %(run_at)s::timestamptz,
    max_attempts => %(max_attempts)s::int,
    timeout_s => %(timeout_s)s::float8,
    memory => %(memory)s::text,
    retry => %(retry)s::text,
    expires_s => %(expires_s)s::float8,
    expires_at => %(expires_at)s::timestamptz,
    traceparent => %(traceparent)s::text
)
