-- Announce something to a doctor that listens. Served by no index.
SELECT pg_notify('farm_doctor', %(payload)s::text)
