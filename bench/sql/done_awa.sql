-- How many jobs awa has completed, and the time of the server's last commit. For a server with track_commit_timestamp; reads everything.
SELECT count(*), extract(epoch FROM (pg_last_committed_xact()).timestamp)::float8
FROM awa.jobs
WHERE state = 'completed'
