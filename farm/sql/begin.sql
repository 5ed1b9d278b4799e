-- Open a transaction of the hot path. Serves no index.
BEGIN ISOLATION LEVEL READ COMMITTED
