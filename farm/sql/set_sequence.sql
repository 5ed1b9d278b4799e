-- Have a sequence go on from a value, by its name in the schema.
SELECT setval(format('farm.%%I', %(name)s::text)::regclass, %(last_value)s::bigint, %(is_called)s::boolean)
