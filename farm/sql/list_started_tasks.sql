-- List the tasks of jobs that are known to have started on a host which does not live, of those jobs that do not say themselves how often
-- they may be started. `started` is evidence from the host's own memory; null: its last heartbeat is. Served by the primary keys of
-- heartbeat and job.
SELECT DISTINCT j.task
FROM unnest(coalesce(
    %(started)s::bigint[],
    (SELECT h.running FROM farm.heartbeat AS h WHERE h.host_id = %(host_id)s::int)
)) AS u (job_id)
CROSS JOIN LATERAL (
    SELECT j.task FROM farm.job AS j WHERE j.shard = 0 AND j.id = u.job_id AND j.max_attempts IS NULL OFFSET 0
) AS j
