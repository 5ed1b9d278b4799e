-- How many jobs pg-boss has completed, and the time of the server's last commit.
-- For a server with track_commit_timestamp; reads the whole table.
SELECT count(*), extract(epoch FROM (pg_last_committed_xact()).timestamp)::float8
FROM pgboss.job
WHERE state = 'completed'
