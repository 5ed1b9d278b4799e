-- Say whether every job has ended: each stands in one of these tables until then. Leases are looked at first, since they are few: the others
-- are walked over with all that is dead in them, and only when there is no lease.
SELECT
    NOT EXISTS (SELECT FROM farm.lease AS l WHERE l.shard = 0)
    AND NOT EXISTS (SELECT FROM farm.scheduled AS s WHERE s.shard = 0)
    AND NOT EXISTS (SELECT FROM farm.returned AS r WHERE r.shard = 0)
    AND NOT EXISTS (SELECT FROM farm.ready AS r WHERE r.shard = 0)
