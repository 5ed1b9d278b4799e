-- Commit the smallest thing that has to be on disk before the answer.
SELECT pg_logical_emit_message(true, 'bench', '')
