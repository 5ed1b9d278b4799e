-- What a demo's run found, added up, and how fast its jobs went since a time. Pruned to the partitions of its ids.
SELECT
    count(*),
    coalesce(sum((j.result ->> 'lines')::bigint), 0)::bigint,
    coalesce(sum((j.result ->> 'nodes')::bigint), 0)::bigint,
    coalesce(sum((j.result ->> 'functions')::bigint), 0)::bigint,
    coalesce(sum((j.result ->> 'classes')::bigint), 0)::bigint,
    coalesce(sum((j.result ->> 'bytes')::bigint), 0)::bigint,
    coalesce(sum((j.result ->> 'compressed_bytes')::bigint), 0)::bigint,
    count(*) - count(DISTINCT j.result ->> 'sha256'),
    count(*) FILTER (WHERE j.result ->> 'problem' IS NOT NULL),
    count(*) FILTER (WHERE j.finished_at >= %(since)s::timestamptz),
    extract(epoch FROM max(j.finished_at) - min(j.started_at) FILTER (WHERE j.finished_at >= %(since)s::timestamptz))::float8,
    percentile_disc(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM j.finished_at - j.started_at)::float8),
    max(extract(epoch FROM j.finished_at - j.started_at))::float8
FROM farm.jobs AS j
WHERE j.id BETWEEN %(first_id)s::bigint AND %(last_id)s::bigint AND j.queue = %(queue)s AND j.state = 'succeeded'
