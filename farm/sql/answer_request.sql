-- Answer what was asked for, unless it was withdrawn meanwhile (then: no row). Served by the primary key of host_request.
UPDATE farm.host_request AS r
SET answered_at = clock_timestamp(), answer = %(answer)s::jsonb
WHERE r.shard = 0 AND r.id = %(id)s::bigint AND r.answered_at IS NULL
RETURNING r.id
