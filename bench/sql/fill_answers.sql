-- File %(waiting)s jobs that wait, as many that are due later, and as many that have ended in the last ten minutes, in ten queues: rows alone,
-- as farm would have left them.
WITH class AS MATERIALIZED (
    SELECT n, farm.class_id('queue-' || n, 'python') AS id FROM generate_series(0, 9) AS n
),
made AS MATERIALIZED (
    SELECT g.n, nextval('farm.job_id_seq') AS id, c.id AS class_id
    FROM generate_series(0, 3 * %(waiting)s::int - 1) AS g (n)
    JOIN class AS c ON c.n = g.n %% 10
),
filed AS (
    INSERT INTO farm.job (shard, id, class_id, priority, task, args)
    SELECT 0, m.id, m.class_id, 4, 'farm.demo:noop', '[]' FROM made AS m
),
waiting AS (
    INSERT INTO farm.ready (shard, class_id, priority, job_id)
    SELECT 0, m.class_id, 4, m.id FROM made AS m WHERE m.n < %(waiting)s::int
),
later AS (
    INSERT INTO farm.scheduled (shard, run_at, job_id, class_id, priority, attempt, lost)
    SELECT 0, now() + interval '1 h', m.id, m.class_id, 4, m.n %% 2, 0 FROM made AS m WHERE m.n / %(waiting)s::int = 1
),
ended AS (
    INSERT INTO farm.result (shard, job_id, status, attempt, started_at, finished_at, value)
    SELECT 0, m.id, 1 + (m.n %% 100 = 0)::int, 1, t.at, t.at, '[]'
    FROM made AS m
    CROSS JOIN LATERAL (SELECT now() - interval '10 min' * (3 - (m.n + 1)::float8 / %(waiting)s::int) AS at) AS t
    WHERE m.n / %(waiting)s::int = 2
)
SELECT count(*) FROM made
