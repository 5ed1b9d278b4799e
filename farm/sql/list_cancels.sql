-- List the requests to cancel jobs that stand in leases of a host. Served by the primary keys of lease, cancel_request and failure. IS TRUE
-- keeps the planner from a join, where it would compare each request with each job; as it is, the jobs are put into a hash table once.
SELECT c.job_id, c.reason, c.only_unstarted
FROM farm.cancel_request AS c
WHERE c.shard = 0
    AND (c.job_id IN (
        SELECT u.job_id
        FROM farm.lease AS l
        CROSS JOIN LATERAL unnest(l.job_ids) AS u (job_id)
        WHERE l.shard = 0 AND l.id >= %(host_id)s::bigint << 32 AND l.id < (%(host_id)s::bigint + 1) << 32
    )) IS TRUE
    AND NOT farm.retried_since(c.job_id, c.asked_at)
ORDER BY c.job_id
LIMIT %(limit)s::int
