-- The files with the most syntax in a demo's run. Pruned to the partitions of its ids.
SELECT j.id, j.result ->> 'path', (j.result ->> 'lines')::bigint, (j.result ->> 'nodes')::bigint, (j.result ->> 'functions')::bigint
FROM farm.jobs AS j
WHERE j.id BETWEEN %(first_id)s::bigint AND %(last_id)s::bigint AND j.queue = %(queue)s AND j.state = 'succeeded'
ORDER BY 4 DESC, j.id
LIMIT %(files_max)s::int
