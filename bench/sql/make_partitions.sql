-- Make partitions up to an id, and let the ids that are given out next begin at another one.
SELECT farm.ensure_partitions(%(up_to)s::bigint), setval('farm.job_id_seq', %(next_id)s::bigint, false)
