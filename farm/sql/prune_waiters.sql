-- Forget those who wait and whose server process is gone. Served by no index: few wait.
DELETE FROM farm.waiter AS w
WHERE w.shard = 0 AND NOT EXISTS (SELECT FROM pg_stat_activity AS a WHERE a.pid = w.pid)
