-- List the requests to cancel jobs that stand in leases of a host. Served by the primary keys of lease, cancel_request and failure. IS TRUE
-- keeps the planner from a join, where it would compare each request with each job; as it is, the jobs are put into a hash table once.
-- What was tried again by hand since is left out.
SELECT DISTINCT ON (c.job_id) c.job_id, c.reason, c.only_unstarted
FROM farm.cancel_request AS c
WHERE c.shard = 0
    AND (CASE WHEN c.only_unstarted
        THEN c.job_id IN (
            SELECT u.job_id
            FROM farm.lease AS l
            CROSS JOIN LATERAL unnest(l.job_ids, l.attempts) AS u (job_id, attempt)
            WHERE l.shard = 0 AND l.id >= %(host_id)s::bigint << 32 AND l.id < (%(host_id)s::bigint + 1) << 32 AND coalesce(u.attempt, 0) = 0
        )
        ELSE c.job_id IN (
            SELECT u.job_id
            FROM farm.lease AS l
            CROSS JOIN LATERAL unnest(l.job_ids) AS u (job_id)
            WHERE l.shard = 0 AND l.id >= %(host_id)s::bigint << 32 AND l.id < (%(host_id)s::bigint + 1) << 32
        )
    END) IS TRUE
    AND NOT EXISTS (
        SELECT
        FROM farm.failure AS f
        WHERE f.shard = 0 AND f.job_id = c.job_id AND f.kind = 'retried' AND f.finished_at > c.asked_at
        OFFSET 0
    )
ORDER BY c.job_id, c.only_unstarted
LIMIT %(limit)s::int
