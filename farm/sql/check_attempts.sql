-- Jobs whose attempts are not those of their failures, or more than they were given. With the usual limits a job may fail twice and
-- crash twice before the attempt that ends it: five; `attempts_max` says how many it may be where a farm gives others to its tasks. A
-- retry by hand begins anew, and its row says how many failures lie before it. Reads result, failure, returned and scheduled whole.
WITH used AS (
    SELECT r.job_id, r.attempt, r.attempt - (r.status = 1)::int AS failed FROM farm.result AS r
    UNION ALL
    SELECT r.job_id, r.attempt, r.attempt FROM farm.returned AS r WHERE r.shard = 0
    UNION ALL
    SELECT s.job_id, s.attempt, s.attempt FROM farm.scheduled AS s WHERE s.shard = 0
),
blamed AS (
    SELECT
        f.job_id,
        count(*) FILTER (WHERE f.kind <> 'retried') - coalesce(max((f.error ->> 'attempts')::int) FILTER (WHERE f.kind = 'retried'), 0) AS n,
        count(DISTINCT f.attempt) FILTER (WHERE f.kind <> 'retried') AS distinct_n,
        max(f.attempt) AS latest,
        bool_or(f.kind = 'retried') AS retried
    FROM farm.failure AS f
    GROUP BY f.job_id
)
SELECT
    u.job_id,
    'used ' || u.attempt || ' attempts of ' || coalesce(j.max_attempts, %(attempts_max)s::int) || ', and ' || coalesce(b.n, 0)
    || ' failures are kept, not ' || u.failed
FROM used AS u
JOIN farm.job AS j ON j.id = u.job_id
LEFT JOIN blamed AS b ON b.job_id = u.job_id
WHERE u.attempt > coalesce(j.max_attempts, %(attempts_max)s::int)
    OR coalesce(b.n, 0) <> u.failed
    -- Which numbers lie before a retry by hand and which after it, nobody can tell.
    OR (b.retried IS NOT TRUE AND (coalesce(b.distinct_n, 0) <> u.failed OR coalesce(b.latest, 0) <> u.failed))
ORDER BY 1
LIMIT 100
