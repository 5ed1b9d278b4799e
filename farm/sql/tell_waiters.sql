-- Tell those who wait for a job of this commit that it has ended; migration 0008 says how. Served by the primary keys of waiter and
-- result.
SELECT farm.tell_waiters(%(ended_ids)s::bigint[])
