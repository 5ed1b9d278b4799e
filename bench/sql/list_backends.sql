-- List the backends of all farms of this database, with the part of the farm that each serves.
SELECT a.pid, a.application_name
FROM pg_stat_activity AS a
WHERE a.datname = current_database() AND a.application_name LIKE 'farm %' AND a.application_name <> 'farm client'
