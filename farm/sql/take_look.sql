-- Take the turn to look for a partition to prune, if nobody has taken it for so long. Reads a table of one row.
-- One that was taken in the future was taken while the clock was wrong.
UPDATE farm.pruning_look AS l
SET looked_at = now()
WHERE l.looked_at <= now() - make_interval(secs => %(every_s)s::float8) OR l.looked_at > now()
RETURNING true
