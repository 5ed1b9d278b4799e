-- How far a partition is copied that is being pruned, from 0 to 1.
SELECT coalesce(max((p.next_id - p.lower_id)::float8 / (s.last_id - p.lower_id)), 0)
FROM farm.pruning AS p
CROSS JOIN (SELECT max(j.id) AS last_id FROM farm.job AS j WHERE j.id < (SELECT u.upper_id FROM farm.pruning AS u)) AS s
