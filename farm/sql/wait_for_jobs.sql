-- Let this transaction wait for the application, whose generator may be slow.
SET LOCAL idle_in_transaction_session_timeout = 0
