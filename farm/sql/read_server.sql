-- Read what the server is and how many connections it has. Views of its memory.
SELECT
    current_setting('server_version_num')::int AS version_number,
    current_setting('server_version') AS version,
    pg_is_in_recovery() AS is_standby,
    current_setting('max_connections')::int AS connections_max,
    current_setting('superuser_reserved_connections')::int + coalesce(current_setting('reserved_connections', true), '0')::int AS reserved,
    (SELECT coalesce(sum(d.numbackends), 0)::int FROM pg_stat_database AS d) AS used
