-- How many jobs above an id were settled between the commit with which so many of them were, and the one with which so many were, and
-- in what time. For a server with track_commit_timestamp; reads all their results.
WITH commits AS (
    SELECT pg_xact_commit_timestamp(r.xmin) AS at, count(*) AS jobs
    FROM farm.result AS r
    WHERE r.shard = 0 AND r.job_id > %(above_id)s::bigint AND r.status = 1
    GROUP BY 1
),
settled AS (
    SELECT c.at, sum(c.jobs) OVER (ORDER BY c.at) AS jobs FROM commits AS c
),
edges AS (
    SELECT
        min(s.at) FILTER (WHERE s.jobs >= %(first)s::bigint) AS begin_at,
        min(s.at) FILTER (WHERE s.jobs >= %(last)s::bigint) AS end_at
    FROM settled AS s
)
SELECT (max(s.jobs) - min(s.jobs))::bigint, extract(epoch FROM max(s.at) - min(s.at))::float8
FROM edges AS e
JOIN settled AS s ON s.at BETWEEN e.begin_at AND e.end_at
