-- The first and last job of a demo's run, which is one queue; no row's worth of them where it was never enqueued.
-- Reads every job once: only asked when a run that was cut short is taken up again.
SELECT min(j.id), max(j.id), count(*)
FROM farm.jobs AS j
WHERE j.queue = %(queue)s
