-- Make jobs that have failed or were cancelled ready again; migration 0012 says how. Served by the primary keys of result, job and failure.
SELECT unnest(farm.retry_jobs(%(job_ids)s::bigint[], %(by)s::text))
