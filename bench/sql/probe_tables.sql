-- Do what hot statements do to the tables that retention locks, one row of each: file a job and look for its end.
WITH filed AS (
    SELECT farm.enqueue('farm.demo:noop', runner => 'nobody') AS id
)
SELECT f.id FROM filed AS f WHERE NOT EXISTS (SELECT FROM farm.result AS r WHERE r.shard = 0 AND r.job_id = 1 OFFSET 0)
