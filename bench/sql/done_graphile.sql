-- How many of so many jobs Graphile Worker has completed: it deletes them; and the time of the server's last commit.
-- For a server with track_commit_timestamp; reads the whole table.
SELECT %(jobs)s - count(*), extract(epoch FROM (pg_last_committed_xact()).timestamp)::float8
FROM graphile_worker._private_jobs
