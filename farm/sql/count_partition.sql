-- Count the jobs of a partition, those that have not ended, and those that may go; and its bytes. Reads it whole.
SELECT jobs, unfinished, succeeded, failed, cancelled, bytes
FROM farm.count_partition(
    %(number)s::int,
    coalesce(now() - make_interval(secs => %(succeeded_s)s::float8), '-infinity'),
    coalesce(now() - make_interval(secs => %(failed_s)s::float8), '-infinity'),
    coalesce(now() - make_interval(secs => %(cancelled_s)s::float8), '-infinity')
)
