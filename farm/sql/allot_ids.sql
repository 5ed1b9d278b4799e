-- Take a block of job ids; also tells the time of the transaction in microseconds since 2000, and the first id without a partition.
SELECT
    array_agg(block.id),
    (extract(epoch FROM now()) * 1000000)::bigint - 946684800000000,
    (SELECT max(p.upper_id) FROM farm.partition AS p)
FROM (SELECT nextval('farm.job_id_seq') AS id FROM generate_series(1, %(count)s::int)) AS block
