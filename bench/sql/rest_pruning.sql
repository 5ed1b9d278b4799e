-- Let nobody go on with what is being pruned for a while, or do.
UPDATE farm.pruning AS p SET next_step_at = now() + make_interval(secs => %(rest_s)s::float8)
