-- Go to the server and back.
SELECT 1
