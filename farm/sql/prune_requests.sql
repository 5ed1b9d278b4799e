-- Forget what was asked of hosts an hour ago, answered or not. Read whole: rows go as fast as people ask.
DELETE FROM farm.host_request AS r
WHERE r.ctid = ANY (ARRAY(
    SELECT o.ctid
    FROM farm.host_request AS o
    WHERE o.shard = 0 AND o.made_at < now() - interval '1 hour'
    LIMIT 10000
    FOR UPDATE SKIP LOCKED
))
