-- Say whether a job was ever filed here: has been given an id, or stands in a table.
SELECT
    (SELECT s.is_called FROM farm.job_id_seq AS s)
    OR EXISTS (SELECT FROM farm.job AS j WHERE j.shard = 0)
    OR EXISTS (SELECT FROM farm.host)
