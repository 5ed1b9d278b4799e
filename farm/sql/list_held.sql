-- List the newest jobs of a state that few jobs are in: those of leases. Reads the leases whole.
SELECT
    j.id, j.queue, j.runner, j.task, j.args, j.priority, j.state, j.attempt, j.max_attempts, j.run_at, j.created_at, j.started_at,
    j.finished_at, j.host, j.result, j.error, j.peak_bytes
FROM farm.jobs AS j
WHERE j.state = %(state)s::text AND (%(queue)s::text IS NULL OR j.queue = %(queue)s::text)
ORDER BY j.id DESC
LIMIT %(limit)s::int
