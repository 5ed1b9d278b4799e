-- Begin a transaction that sees one moment and may take as long as it likes. Several statements, one message;
-- none of them sees that moment yet: tables are locked first.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SET LOCAL idle_in_transaction_session_timeout = 0;
SET LOCAL statement_timeout = 0;
SET LOCAL lock_timeout = %(lock_ms)s
