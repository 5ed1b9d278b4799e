-- The database's time, the only clock that stored times come from.
SELECT clock_timestamp()
