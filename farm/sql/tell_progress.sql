-- Say how far the jobs of a host are, in the place of what it has said before. Served by the primary key of progress.
INSERT INTO farm.progress AS p (host_id, job_ids, fractions, texts)
VALUES (%(host_id)s::int, %(job_ids)s::bigint[], %(fractions)s::float8[], %(texts)s::text[])
ON CONFLICT (shard, host_id) DO UPDATE
SET job_ids = excluded.job_ids, fractions = excluded.fractions, texts = excluded.texts
RETURNING p.host_id
