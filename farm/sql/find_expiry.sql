-- Tell in how many seconds the next job expires, 0 or less if it does. Served by the primary key of expiry.
SELECT extract(epoch FROM e.expires_at - now())::float8
FROM farm.expiry AS e
WHERE e.shard = 0
ORDER BY e.expires_at
LIMIT 1
