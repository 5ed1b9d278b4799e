-- Tell which of these (job, lease) pairs have a row that an earlier try of the same commit wrote. What a reaper wrote bears the lease as
-- well. Served by the primary keys of result and failure.
SELECT u.job_id, u.lease_id
FROM unnest(%(job_ids)s::bigint[], %(lease_ids)s::bigint[]) AS u (job_id, lease_id)
WHERE EXISTS (
        SELECT FROM farm.result AS r
        WHERE r.shard = 0 AND r.job_id = u.job_id AND r.lease_id = u.lease_id
            AND coalesce(r.error ->> 'type', '') NOT IN ('HostLost', 'LostTooOften')
    )
    OR EXISTS (
        SELECT FROM farm.failure AS f
        WHERE f.shard = 0 AND f.job_id = u.job_id AND f.lease_id = u.lease_id AND f.kind <> 'lost'
    )
