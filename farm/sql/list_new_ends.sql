-- List the jobs whose ends were committed since a snapshot was taken; since: when the earliest of them may have ended; seen_at: when that
-- snapshot was taken. Without a snapshot: all that ended since then. Served by result_finished_at, which finds pages; job and host by
-- their primary keys. The number of a row's transaction has 32 bits: the rest is that of the transactions of today. What a transaction
-- did inside a savepoint has a number that no snapshot tells of, so ends after seen_at are taken whatever theirs is. oldest: the number of
-- the oldest transaction that was open in that snapshot, 32 bits of it; what is older is seen to be so without taking its number apart. Nothing is said of the
-- shard, so that the planner does not walk the whole primary key for it.
SELECT r.job_id, r.status, c.queue, j.task, r.attempt, r.started_at, r.finished_at, h.name AS host, left(r.value::text, 500) AS value,
    r.error ->> 'type' AS error_type, left(r.error ->> 'message', 500) AS error_message
FROM (
    SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS next_xid
) AS today
CROSS JOIN farm.result AS r
CROSS JOIN LATERAL (SELECT j.class_id, j.task FROM farm.job AS j WHERE j.shard = 0 AND j.id = r.job_id OFFSET 0) AS j
JOIN farm.class AS c ON c.shard = 0 AND c.id = j.class_id
LEFT JOIN farm.host AS h ON h.id = (r.lease_id >> 32)::int
WHERE r.finished_at > %(since)s::timestamptz
    AND (
        %(seen)s::text IS NULL
        OR r.finished_at > %(seen_at)s::timestamptz
        OR (
            age(r.xmin) <= age(%(oldest)s::text::xid)
            AND NOT pg_visible_in_snapshot(
                (
                    ((today.next_xid >> 32) << 32) + r.xmin::text::bigint
                    - CASE WHEN r.xmin::text::bigint >= (today.next_xid & 4294967295) THEN 4294967296 ELSE 0 END
                )::text::xid8,
                %(seen)s::text::pg_snapshot
            )
        )
    )
    AND (%(statuses)s::smallint[] IS NULL OR r.status = ANY (%(statuses)s::smallint[]))
    AND (%(host)s::text IS NULL OR h.name = %(host)s::text)
    AND (%(queues)s::text[] IS NULL OR c.queue = ANY (%(queues)s::text[]))
    AND (%(task)s::text IS NULL OR j.task LIKE %(task)s::text)
LIMIT %(limit)s::int
