-- Find the first entry of each (class, priority) in each of some windows of job ids, or of the numbers of `returned`, as far as its bound:
-- what a transaction left there that took its numbers early and committed late. The last column says how far was looked. Served by the
-- primary keys of ready and returned.
SELECT k.class_id, k.priority, false, late.job_id, least(w.high, k.upto)
FROM unnest(%(id_classes)s::int[], %(id_priorities)s::smallint[], %(upto_ids)s::bigint[]) AS k (class_id, priority, upto)
CROSS JOIN unnest(%(low_ids)s::bigint[], %(high_ids)s::bigint[]) AS w (low, high)
CROSS JOIN LATERAL (
    SELECT r.job_id
    FROM farm.ready AS r
    WHERE r.shard = 0 AND r.class_id = k.class_id AND r.priority = k.priority AND r.job_id > w.low AND r.job_id <= least(w.high, k.upto)
    ORDER BY r.job_id
    LIMIT 1
) AS late
UNION ALL
SELECT k.class_id, k.priority, true, late.seq, least(w.high, k.upto)
FROM unnest(%(seq_classes)s::int[], %(seq_priorities)s::smallint[], %(upto_seqs)s::bigint[]) AS k (class_id, priority, upto)
CROSS JOIN unnest(%(low_seqs)s::bigint[], %(high_seqs)s::bigint[]) AS w (low, high)
CROSS JOIN LATERAL (
    SELECT r.seq
    FROM farm.returned AS r
    WHERE r.shard = 0 AND r.class_id = k.class_id AND r.priority = k.priority AND r.seq > w.low AND r.seq <= least(w.high, k.upto)
    ORDER BY r.seq
    LIMIT 1
) AS late
