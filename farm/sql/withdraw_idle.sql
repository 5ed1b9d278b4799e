-- Say that a lane is at work. Served by the primary key of idle.
DELETE FROM farm.idle AS i
WHERE i.shard = 0 AND i.host_id = %(host_id)s::int AND i.lane = %(lane)s::text
