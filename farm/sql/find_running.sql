-- Find the host that runs a job, as of its last heartbeat. A small table, read whole.
SELECT b.host_id
FROM farm.heartbeat AS b
WHERE b.state = 'live' AND %(job_id)s::bigint = ANY (b.running)
