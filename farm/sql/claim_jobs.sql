-- Claim jobs of some classes at one priority as one lease; migration 0010 says how. Served by the primary keys of ready, returned and
-- host.
SELECT
    c.job_ids, c.attempts, c.losts, c.ready_classes, c.ready_counts, c.last_ids,
    c.returned_classes, c.returned_counts, c.last_seqs
FROM farm.claim_jobs(
    %(lease_id)s::bigint,
    %(class_ids)s::int[],
    %(priority)s::smallint,
    %(above_seqs)s::bigint[],
    %(upto_seqs)s::bigint[],
    %(above_ids)s::bigint[],
    %(upto_ids)s::bigint[],
    %(returned_max)s::int,
    %(each_max)s::int,
    %(jobs_max)s::int,
    %(again)s::boolean
) AS c
