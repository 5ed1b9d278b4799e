-- Say that a host lives, what runs on it and how its lanes do (null: as at the last beat); tells the database's clock, in microseconds
-- since 2000, whether anybody waits for the end of a job, whether anybody wants one to end, and whether this host is asked for something.
-- No row: the host was retired. Served by the primary keys of heartbeat, waiter and cancel_request, and by host_request_unanswered.
UPDATE farm.heartbeat AS h
SET beat = h.beat + 1,
    beat_at = now(),
    running = %(running)s::bigint[],
    started_at = ARRAY(
        SELECT now() - make_interval(secs => u.age_s)
        FROM unnest(%(ages_s)s::float8[]) WITH ORDINALITY AS u (age_s, position)
        ORDER BY u.position
    ),
    lanes = coalesce(%(lanes)s::jsonb, h.lanes),
    paused_queues = coalesce(%(paused_queues)s::text[], h.paused_queues)
WHERE h.host_id = %(host_id)s::int AND h.state = 'live'
RETURNING
    (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - 946684800000000,
    EXISTS (SELECT FROM farm.waiter AS w WHERE w.shard = 0),
    EXISTS (SELECT FROM farm.cancel_request AS c WHERE c.shard = 0),
    EXISTS (SELECT FROM farm.host_request AS r WHERE r.shard = 0 AND r.host_id = %(host_id)s::int AND r.answered_at IS NULL)
