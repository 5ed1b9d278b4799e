-- Close a transaction of the hot path. Serves no index.
COMMIT
