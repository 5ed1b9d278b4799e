-- Read one job. Served by the primary keys of every table.
SELECT
    j.id, j.queue, j.runner, j.task, j.args, j.priority, j.state, j.attempt, j.max_attempts, j.run_at, j.created_at, j.started_at,
    j.finished_at, j.host, j.result, j.error
FROM farm.jobs AS j
WHERE j.id = %(job_id)s::bigint
