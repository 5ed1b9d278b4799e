-- Read what a subworker needs of claimed jobs whose ids lie near each other: in one partition or two. Served by the primary key of job.
-- The bounds let the planner leave out the others, and the ids are hidden from it: it would weigh every one of them.
-- In front of the arguments stands the span that a job was enqueued in, if it was in one: arguments begin with a bracket.
-- When it was filed is told of every id that the mask lets through.
SELECT j.id, j.task, CASE WHEN j.traceparent IS NULL THEN j.args::text ELSE j.traceparent || j.args::text END, coalesce(j.timeout_ms, 0),
    CASE WHEN j.id & %(mask)s::bigint = 0 THEN j.created_at END
FROM farm.job AS j
WHERE j.shard = 0
    AND j.id BETWEEN %(lowest_id)s::bigint AND %(highest_id)s::bigint
    AND j.id = ANY (ARRAY(SELECT u.id FROM unnest(%(job_ids)s::bigint[]) AS u (id)))
