-- Count how up to 10,000 of the jobs ended that ended within the last minute: all of them, and those that failed. Served by
-- result_finished_at, which finds pages; the count stops.
SELECT count(*), count(*) FILTER (WHERE e.status = 2)
FROM (
    SELECT r.status
    FROM farm.result AS r
    WHERE r.shard = 0 AND r.finished_at > now() - interval '1 min'
    LIMIT 10000
) AS e
