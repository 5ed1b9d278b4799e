-- Jobs with more than one result, or with a result that contradicts itself. Reads result whole.
SELECT r.job_id, 'has ' || count(*) || ' results'
FROM farm.result AS r
GROUP BY r.job_id
HAVING count(*) > 1
UNION ALL
SELECT r.job_id, 'succeeded without a value, or with an error'
FROM farm.result AS r
WHERE r.status = 1 AND (r.value IS NULL OR r.error IS NOT NULL OR r.attempt < 1)
UNION ALL
SELECT r.job_id, 'did not succeed and has no error, or a value'
FROM farm.result AS r
WHERE r.status <> 1 AND (r.value IS NOT NULL OR r.error IS NULL)
LIMIT 100
