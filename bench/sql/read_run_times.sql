-- Read what a run over a filled database took, job by job, in the order of the starts: when each was started and ended, in seconds.
-- Reads the whole table.
SELECT extract(epoch FROM r.started_at)::float8, extract(epoch FROM r.finished_at)::float8
FROM farm.result AS r
WHERE r.status = 1
ORDER BY r.started_at
