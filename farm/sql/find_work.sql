-- Find the (class, priority) pairs that have work; migration 0005 says how. Served by the primary keys of ready and returned.
SELECT w.class_id, w.priority, w.from_returned
FROM farm.find_work(
    %(class_ids)s::int[],
    %(bound_classes)s::int[],
    %(bound_priorities)s::smallint[],
    %(bound_ids)s::bigint[]
) AS w
