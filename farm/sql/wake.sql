-- Wake the lanes that sleep and want new jobs of these classes and priorities, and whoever waits for the next job that is due. Served
-- by the keys of idle and scheduled.
SELECT farm.wake(
    %(classes)s::int[],
    %(priorities)s::int[],
    timestamptz '2000-01-01 00:00:00+00' + %(due_us)s::bigint * interval '1 microsecond'
)
