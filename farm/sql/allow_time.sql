-- Let the statements of this transaction take longer than the connection's limit, in milliseconds.
SELECT set_config('statement_timeout', %(statement_ms)s::text, true)
