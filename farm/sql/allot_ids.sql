-- Take job ids, and tell the first and the last of them, and the first id that has no partition. If more ids lie between than were
-- taken, others took some meanwhile.
SELECT
    min(taken.id),
    max(taken.id),
    (SELECT max(p.upper_id) FROM farm.partition AS p)
FROM (SELECT nextval('farm.job_id_seq') AS id FROM generate_series(1, %(count)s::int)) AS taken
