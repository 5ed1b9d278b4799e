-- Put so many jobs that have ended nine days ago into a database, each hundredth failed, each thousandth waiting for a time far ahead; ids that
-- were given out before are theirs.
WITH filed AS (
    INSERT INTO farm.job (id, class_id, priority, task, args, created_at)
    SELECT g.id, (SELECT farm.class_id('old', 'python')), 4, 'farm.demo:noop',
        '{"n": 1, "tags": ["a", "b"], "message": "hello", "customer": 123456}', now() - interval '9 days'
    FROM generate_series(1, %(jobs)s::bigint) AS g (id)
    RETURNING id, class_id
),
ended AS (
    INSERT INTO farm.result (job_id, lease_id, status, attempt, started_at, finished_at, value, error)
    SELECT f.id, 1::bigint << 32, CASE WHEN f.id %% 100 = 0 THEN 2 ELSE 1 END, 1, now() - interval '9 days', now() - interval '9 days',
        CASE WHEN f.id %% 100 <> 0 THEN '{}'::jsonb END,
        CASE WHEN f.id %% 100 = 0 THEN '{"type": "ValueError", "message": "no", "traceback": ""}'::jsonb END
    FROM filed AS f
    WHERE f.id %% 1000 <> 7
),
failed AS (
    INSERT INTO farm.failure (job_id, lease_id, finished_at, attempt, kind, error)
    SELECT f.id, 1::bigint << 32, now() - interval '9 days', 1, 'failed', '{"type": "ValueError", "message": "no", "traceback": ""}'
    FROM filed AS f
    WHERE f.id %% 100 = 0
),
waiting AS (
    INSERT INTO farm.scheduled (job_id, run_at, class_id, priority, attempt, lost)
    SELECT f.id, now() + interval '90 days', f.class_id, 4, 0, 0 FROM filed AS f WHERE f.id %% 1000 = 7
)
SELECT setval('farm.job_id_seq', %(jobs)s::bigint)
