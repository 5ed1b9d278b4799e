-- Settle some of the requests to cancel jobs; migration 0013 says how. Served by the primary key of cancel_request, and as cancel_jobs.
SELECT s.looked, s.last_id, s.cancelled
FROM farm.sweep_cancels(%(above_id)s::bigint, %(jobs_max)s::int) AS s
