-- Set up a connection of farm, once after connecting. Several statements, because together they are one setting and SET takes one
-- each. A host that vanishes without a word is found by the keepalives, after 11 s.
SET statement_timeout = %(statement_ms)s;
SET idle_in_transaction_session_timeout = %(idle_ms)s;
SET client_connection_check_interval = '2s';
SET tcp_keepalives_idle = 5;
SET tcp_keepalives_interval = 2;
SET tcp_keepalives_count = 3;
SET default_transaction_isolation = 'read committed';
SET timezone = 'UTC';
SET jit = off
