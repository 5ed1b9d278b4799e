-- Leases that contradict themselves, or that nobody can ever settle. A host may have been retired a moment ago, so its leases have a
-- minute to be reaped. A lease of no job is what a claim leaves that was asked again in vain. Reads lease whole.
SELECT
    l.id,
    CASE
        WHEN h.id IS NULL THEN 'its host was never registered'
        WHEN b.host_id IS NULL THEN 'its host is forgotten'
        WHEN b.state = 'retired' AND b.beat_at < now() - interval '1 minute' THEN 'its host was retired long ago'
        ELSE 'its numbers do not agree: ' || l.n || ' jobs, ' || cardinality(l.job_ids) || ' ids, ' || bit_count(l.done) || ' bits set of '
            || length(l.done) * 8
    END
FROM farm.lease AS l
LEFT JOIN farm.host AS h ON h.id = (l.id >> 32)::int
LEFT JOIN farm.heartbeat AS b ON b.host_id = (l.id >> 32)::int
WHERE l.shard = 0 AND (
    h.id IS NULL
    OR b.host_id IS NULL
    OR (b.state = 'retired' AND b.beat_at < now() - interval '1 minute' AND l.n > 0)
    OR l.n <> cardinality(l.job_ids)
    OR l.n <> cardinality(l.attempts)
    OR l.n <> cardinality(l.losts)
    OR length(l.done) <> (l.n + 7) / 8
    OR (bit_count(l.done) >= l.n AND l.n > 0)
)
ORDER BY l.id
LIMIT 100
