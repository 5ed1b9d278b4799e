-- List the settings with these names, in PostgreSQL's base units, as the server has them for everybody: not as this session set them.
SELECT s.name, s.reset_val
FROM pg_settings AS s
WHERE s.name = ANY (%(names)s::text[])
