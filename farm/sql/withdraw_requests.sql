-- Withdraw requests that were not answered; returns those of them that had not been. Served by the primary key of host_request.
DELETE FROM farm.host_request AS r
WHERE r.shard = 0 AND r.id = ANY (%(ids)s::bigint[]) AND r.answered_at IS NULL
RETURNING r.id
