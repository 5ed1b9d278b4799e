-- The processes of the server as it names them: a connection by its application, any other by its kind. Without the one that asks.
SELECT pid, coalesce(nullif(application_name, ''), backend_type)
FROM pg_stat_activity
WHERE pid <> pg_backend_pid()
