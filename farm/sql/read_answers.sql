-- Read the answers of hosts that have given one. Served by the primary key of host_request.
SELECT r.id, r.answer
FROM farm.host_request AS r
WHERE r.shard = 0 AND r.id = ANY (%(ids)s::bigint[]) AND r.answered_at IS NOT NULL
