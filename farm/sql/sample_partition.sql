-- Look at some jobs of a partition: how many of them may go. Served by the primary keys of its tables.
SELECT looked, going, is_small
FROM farm.sample_partition(
    %(number)s::int,
    coalesce(now() - make_interval(secs => %(succeeded_s)s::float8), '-infinity'),
    coalesce(now() - make_interval(secs => %(failed_s)s::float8), '-infinity'),
    coalesce(now() - make_interval(secs => %(cancelled_s)s::float8), '-infinity')
)
