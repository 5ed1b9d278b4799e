-- How far a demo's run has come, jobs by state. Pruned to the partitions of its ids; served by the primary keys.
SELECT j.state, count(*)
FROM farm.jobs AS j
WHERE j.id BETWEEN %(first_id)s::bigint AND %(last_id)s::bigint AND j.queue = %(queue)s
GROUP BY j.state
