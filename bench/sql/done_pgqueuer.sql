-- How many jobs PGQueuer has completed: it deletes them from its queue and logs them; and the time of the server's last commit.
-- For a server with track_commit_timestamp; reads the whole log.
SELECT count(*), extract(epoch FROM (pg_last_committed_xact()).timestamp)::float8
FROM pgqueuer_log
WHERE status = 'successful'
