-- Ask hosts for something, and wake them. Serves no index.
WITH made AS (
    INSERT INTO farm.host_request AS r (host_id, kind, arguments, made_by)
    SELECT u.host_id, %(kind)s::text, %(arguments)s::jsonb, left(%(made_by)s::text || ' as ' || session_user, 200)
    FROM unnest(%(host_ids)s::int[]) AS u (host_id)
    RETURNING r.id, r.host_id
)
SELECT m.id, m.host_id, pg_notify('farm_wake', 'request')::text
FROM made AS m
