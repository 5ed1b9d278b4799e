-- Open a transaction whose statements all see the same. Serves no index.
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY
