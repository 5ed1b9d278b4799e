-- Take the lock of whoever copies this database, or copies into it. Only one can have it, so a database is never copied into itself.
SELECT pg_try_advisory_xact_lock(1717662317, 4)
