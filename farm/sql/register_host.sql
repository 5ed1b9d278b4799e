-- Register a supervisor's boot as a new host, with its first sign of life. Serves no index.
WITH new AS (
    INSERT INTO farm.host (instance, name, lanes, runners, capacity, memory_bytes, version)
    VALUES (
        %(instance)s::text,
        %(name)s::text,
        %(lanes)s::jsonb,
        %(runners)s::text[],
        %(capacity)s::int,
        %(memory_bytes)s::bigint,
        %(version)s::text
    )
    RETURNING id
)
INSERT INTO farm.heartbeat AS h (host_id)
SELECT new.id FROM new
RETURNING h.host_id
