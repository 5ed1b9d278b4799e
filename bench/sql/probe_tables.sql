-- Read a row of each of the tables that retention locks, as hot statements do, by keys and within one partition.
SELECT
    (SELECT j.id FROM farm.job AS j WHERE j.shard = 0 AND j.id = 1),
    (SELECT r.status FROM farm.result AS r WHERE r.shard = 0 AND r.job_id = 1),
    EXISTS (SELECT FROM farm.failure AS f WHERE f.shard = 0 AND f.job_id = 1)
