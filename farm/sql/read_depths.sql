-- Read how deep the queues were when somebody counted, how long ago that was, and in how many seconds it is to be done again. One row.
SELECT
    d.queues,
    CASE WHEN isfinite(d.counted_at) THEN extract(epoch FROM clock_timestamp() - d.counted_at)::float8 END AS age_s,
    CASE WHEN isfinite(d.due_at) THEN extract(epoch FROM d.due_at - clock_timestamp())::float8 ELSE 0 END AS due_s
FROM farm.depth AS d
WHERE d.shard = 0
