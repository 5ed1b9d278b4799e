-- Read the settings that decide what a commit costs and promises.
SELECT s.name, s.setting || CASE WHEN s.unit IS NULL THEN '' ELSE ' x ' || s.unit END
FROM pg_settings AS s
WHERE s.name = ANY (%(names)s::text[])
ORDER BY s.name
