-- List what a host is asked for and has not answered, the oldest first. Served by host_request_unanswered.
SELECT r.id, r.kind, r.arguments, r.made_by
FROM farm.host_request AS r
WHERE r.shard = 0 AND r.host_id = %(host_id)s::int AND r.answered_at IS NULL
ORDER BY r.id
LIMIT %(limit)s::int
