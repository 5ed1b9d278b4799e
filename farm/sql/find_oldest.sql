-- Tell the number below which every transaction has ended. Serves no index.
SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint
