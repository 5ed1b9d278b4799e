-- How many jobs were settled between the first and the last commit of a stretch of time, that of the first not included, and in what
-- time. For a server with track_commit_timestamp; reads all results.
WITH commits AS (
    SELECT pg_xact_commit_timestamp(r.xmin) AS at, count(*) AS jobs
    FROM farm.result AS r
    WHERE r.shard = 0 AND r.status = 1
    GROUP BY 1
)
SELECT
    (sum(c.jobs) - (array_agg(c.jobs ORDER BY c.at))[1])::bigint,
    extract(epoch FROM max(c.at) - min(c.at))::float8
FROM commits AS c
WHERE c.at BETWEEN to_timestamp(%(begin_s)s) AND to_timestamp(%(end_s)s)
