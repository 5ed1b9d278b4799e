-- Jobs that do not stand in exactly one place. Reads every table whole, in one snapshot, so it holds beside a running farm.
WITH place AS (
    SELECT r.job_id, 'ready' AS name FROM farm.ready AS r WHERE r.shard = 0
    UNION ALL
    SELECT r.job_id, 'returned' FROM farm.returned AS r WHERE r.shard = 0
    UNION ALL
    SELECT s.job_id, 'scheduled' FROM farm.scheduled AS s WHERE s.shard = 0
    UNION ALL
    SELECT u.job_id, 'lease ' || l.id
    FROM farm.lease AS l
    CROSS JOIN LATERAL unnest(l.job_ids) WITH ORDINALITY AS u (job_id, position)
    WHERE l.shard = 0 AND u.position <= length(l.done) * 8 AND get_bit(l.done, (u.position - 1)::int) = 0
    UNION ALL
    SELECT r.job_id, 'result' FROM farm.result AS r
)
SELECT
    coalesce(j.id, p.job_id),
    CASE
        WHEN j.id IS NULL THEN 'there is no such job, yet it stands in ' || p.one
        WHEN p.n IS NULL THEN 'stands nowhere'
        ELSE 'stands in ' || p.n || ' places, among them ' || p.one || ' and ' || p.other
    END
FROM farm.job AS j
FULL JOIN (
    SELECT place.job_id, count(*) AS n, min(place.name) AS one, max(place.name) AS other
    FROM place
    GROUP BY place.job_id
) AS p ON p.job_id = j.id
WHERE j.id IS NULL OR p.n IS DISTINCT FROM 1
ORDER BY 1
LIMIT 100
