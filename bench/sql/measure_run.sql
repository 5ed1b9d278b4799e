-- How long a run took, from the first start to the last commit, and how many jobs it settled. For a server with
-- track_commit_timestamp; reads the whole table.
SELECT count(*), extract(epoch FROM max(pg_xact_commit_timestamp(r.xmin)) - min(r.started_at))::float8, count(DISTINCT r.lease_id)
FROM farm.result AS r
WHERE r.status = 1
