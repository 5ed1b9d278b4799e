-- Times of results that are none: what a subworker packs is stored as it comes, so the table looks at it. One of these fails its job.
ALTER TABLE farm.result ADD CONSTRAINT result_times
CHECK (started_at <= finished_at AND finished_at < '2200-01-01 00:00:00+00' AND started_at >= '2000-01-01 00:00:00+00');
