-- Count what went wrong with any job: attempts that failed, and results that tell of no success or of more than one start.
SELECT (SELECT count(*) FROM farm.failure) + (SELECT count(*) FROM farm.result WHERE status <> 1 OR attempt <> 1)
