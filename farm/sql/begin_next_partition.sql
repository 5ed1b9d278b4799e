-- Have new jobs go into the next partition, if the first of this one is so old.
SELECT farm.begin_next_partition(make_interval(secs => %(older_than_s)s::float8))
