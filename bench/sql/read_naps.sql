-- Read what each nap told: who ran it, and by CLOCK_MONOTONIC when it began and ended; and what it had been asked for, its number and its
-- queue. Reads both tables whole.
SELECT
    (j.args ->> 0)::int, c.queue, r.value ->> 0, (r.value ->> 1)::bigint, (r.value ->> 2)::bigint
FROM farm.result AS r
JOIN farm.job AS j ON j.shard = r.shard AND j.id = r.job_id
JOIN farm.class AS c ON c.id = j.class_id
WHERE r.status = 1
