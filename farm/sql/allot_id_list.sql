-- Take job ids one by one; also tells the first id that has no partition.
SELECT array_agg(taken.id), (SELECT max(p.upper_id) FROM farm.partition AS p)
FROM (SELECT nextval('farm.job_id_seq') AS id FROM generate_series(1, %(count)s::int)) AS taken
