-- Find the (class, priority) pairs that have work; migration 0010 says how. Served by the primary keys of ready and returned.
SELECT w.class_id, w.priority, w.from_returned, w.first
FROM farm.find_work(
    %(id_classes)s::int[],
    %(id_priorities)s::smallint[],
    %(above_ids)s::bigint[],
    %(seq_classes)s::int[],
    %(seq_priorities)s::smallint[],
    %(above_seqs)s::bigint[]
) AS w
