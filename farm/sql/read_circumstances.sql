-- Read what beside its own row tells why a job is where it is: the lease that holds it, who wants it to end, and which ids there have
-- been. Served by the primary keys of job and cancel_request; leases are few and read whole.
SELECT
    clock_timestamp() AS now,
    (SELECT CASE WHEN s.is_called THEN s.last_value ELSE 0 END FROM farm.job_id_seq AS s) AS last_id,
    (SELECT j.timeout_ms FROM farm.job AS j WHERE j.shard = 0 AND j.id = %(job_id)s::bigint) AS timeout_ms,
    asked.asked_at AS cancel_asked_at,
    asked.reason AS cancel_reason,
    held.host_id,
    held.claimed_at,
    held.before
FROM (SELECT 1) AS one
LEFT JOIN LATERAL (
    SELECT c.asked_at, c.reason
    FROM farm.cancel_request AS c
    WHERE c.shard = 0 AND c.job_id = %(job_id)s::bigint AND NOT c.only_unstarted
) AS asked ON true
LEFT JOIN LATERAL (
    SELECT
        (l.id >> 32)::int AS host_id,
        l.claimed_at,
        (
            SELECT count(*)
            FROM unnest(l.job_ids) WITH ORDINALITY AS u (job_id, position)
            WHERE u.position < array_position(l.job_ids, %(job_id)s::bigint) AND get_bit(l.done, (u.position - 1)::int) = 0
        ) AS before
    FROM farm.lease AS l
    WHERE l.shard = 0
        AND %(job_id)s::bigint = ANY (l.job_ids)
        AND get_bit(l.done, array_position(l.job_ids, %(job_id)s::bigint) - 1) = 0
    LIMIT 1
) AS held ON true
