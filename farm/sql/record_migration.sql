-- Note that a migration was applied.
INSERT INTO farm.migration (version, name)
VALUES (%(version)s::int, %(name)s::text)
