-- List the beats of living hosts, and the age of the server. A small table, read whole.
SELECT
    h.host_id,
    h.beat,
    extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::float8
FROM (SELECT 1) AS one
LEFT JOIN farm.heartbeat AS h ON h.state = 'live'
ORDER BY h.host_id
