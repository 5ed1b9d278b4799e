-- Cancel jobs that were to be started before now and were not; migration 0013 says how. Served by the primary key of expiry, and as
-- cancel_jobs.
SELECT farm.expire_jobs(%(jobs_max)s::int)
