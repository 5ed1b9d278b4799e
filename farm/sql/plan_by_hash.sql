-- Plan the transaction for reading whole tables, whatever the statistics say: where there are none yet, as after a crash of the server, the
-- planner takes tables for empty and would walk through one of them for every row of another. Serves no index.
SELECT set_config('enable_nestloop', 'off', true)
