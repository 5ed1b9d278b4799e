-- Let this transaction wait for the application, whose generator may be slow: between statements, and while a COPY takes in its jobs.
SELECT set_config('idle_in_transaction_session_timeout', '0', true), set_config('statement_timeout', '0', true)
