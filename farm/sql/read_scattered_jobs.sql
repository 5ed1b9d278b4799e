-- Read what a subworker needs of claimed jobs whose ids lie far apart, in the order asked for. Served by the primary key of job. The
-- bounds let the planner leave out partitions. It is not shown the ids, and looks them up one by one: it would weigh each of them against
-- every partition, and otherwise read every partition within the bounds for each of them.
-- In front of the arguments stands the span that a job was enqueued in, if it was in one: arguments begin with a bracket.
-- When it was filed is told of every id that the mask lets through.
SELECT found.id, found.task, found.args, found.timeout_ms, found.created_at
FROM unnest(%(job_ids)s::bigint[]) AS u (id)
CROSS JOIN LATERAL (
    SELECT j.id, j.task, CASE WHEN j.traceparent IS NULL THEN j.args::text ELSE j.traceparent || j.args::text END AS args,
        coalesce(j.timeout_ms, 0) AS timeout_ms,
        CASE WHEN j.id & %(mask)s::bigint = 0 THEN j.created_at END AS created_at
    FROM farm.job AS j
    WHERE j.shard = 0 AND j.id BETWEEN %(lowest_id)s::bigint AND %(highest_id)s::bigint AND j.id = u.id
    LIMIT 1
) AS found
