-- Have a partition that was put together anew take its place, if its tables can be had in so many milliseconds.
SELECT farm.finish_pruning(%(lock_ms)s::int)
