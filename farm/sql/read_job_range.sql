-- Read what a subworker needs of claimed jobs whose ids have no gaps. Served by the primary key of job; the bounds let the planner leave
-- out partitions.
SELECT j.id, j.task, j.args::text, coalesce(j.timeout_ms, 0),
    CASE WHEN j.id & %(mask)s::bigint = 0 THEN j.created_at END
FROM farm.job AS j
WHERE j.shard = 0 AND j.id BETWEEN %(lowest_id)s::bigint AND %(highest_id)s::bigint
