-- Register a host for the bare loops: the claim asks whether the host of its lease lives.
WITH new AS (
    INSERT INTO farm.host (instance, name, lanes, capacity, memory_bytes, version)
    VALUES ('bench', 'bare loops', '{}', 2, 0, '0')
    RETURNING id
)
INSERT INTO farm.heartbeat AS h (host_id)
SELECT new.id FROM new
RETURNING h.host_id
