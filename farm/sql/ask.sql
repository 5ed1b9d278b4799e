-- Ask for any answer at all.
SELECT 1
