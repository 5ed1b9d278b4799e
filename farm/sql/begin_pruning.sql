-- Begin to put partitions together anew without what may go.
SELECT farm.begin_pruning(
    %(first)s::int,
    %(last)s::int,
    coalesce(now() - make_interval(secs => %(succeeded_s)s::float8), '-infinity'),
    coalesce(now() - make_interval(secs => %(failed_s)s::float8), '-infinity'),
    coalesce(now() - make_interval(secs => %(cancelled_s)s::float8), '-infinity')
)
