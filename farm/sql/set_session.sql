-- Set up a connection of farm, once after connecting. Several statements, because together they are one setting and SET takes one
-- each.
SET statement_timeout = %(statement_ms)s;
SET idle_in_transaction_session_timeout = '15s';
SET client_connection_check_interval = '2s';
SET default_transaction_isolation = 'read committed';
SET timezone = 'UTC';
SET jit = off
