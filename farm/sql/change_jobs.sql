-- Change queue, priority or time of jobs that wait; migration 0013 says how. Served by the same keys as cancel_jobs.
SELECT c.changed, c.held, c.ended, c.unknown
FROM farm.change_jobs(%(job_ids)s::bigint[], %(queue)s::text, %(priority)s::int, %(run_at)s::timestamptz) AS c
