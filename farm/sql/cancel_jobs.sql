-- Cancel jobs; migration 0013 says how. Served by the primary keys of job, ready and result and the keys by job of returned and scheduled.
SELECT c.cancelled, c.asked, c.ended, c.unknown
FROM farm.cancel_jobs(%(job_ids)s::bigint[], %(reason)s::text, %(waiting)s::boolean, %(held)s::boolean) AS c
