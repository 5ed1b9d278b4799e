-- Say anew what a host is, after its configuration has changed. Served by the primary key of host.
UPDATE farm.host AS h
SET lanes = %(lanes)s::jsonb,
    runners = %(runners)s::text[],
    capacity = %(capacity)s::int,
    memory_bytes = %(memory_bytes)s::bigint
WHERE h.id = %(host_id)s::int
RETURNING h.id
