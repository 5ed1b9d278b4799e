-- Read what a subworker needs of claimed jobs whose ids have no gaps. Served by the primary key of job; the bounds let the planner leave
-- out partitions.
-- In front of the arguments stands the span that a job was enqueued in, if it was in one: arguments begin with a bracket.
-- When it was filed is told of every id that the mask lets through.
SELECT j.id, j.task, CASE WHEN j.traceparent IS NULL THEN j.args::text ELSE j.traceparent || j.args::text END, coalesce(j.timeout_ms, 0),
    CASE WHEN j.id & %(mask)s::bigint = 0 THEN j.created_at END
FROM farm.job AS j
WHERE j.shard = 0 AND j.id BETWEEN %(lowest_id)s::bigint AND %(highest_id)s::bigint
