-- Make partitions up to an id, and some ahead.
SELECT farm.ensure_partitions(%(up_to)s::bigint, %(ahead)s::int)
