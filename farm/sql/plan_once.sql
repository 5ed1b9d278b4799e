-- Plan every prepared statement of this session once, without looking at its values: they pick rows by whole keys of queue tables, so
-- no value would change the plan.
SET plan_cache_mode = force_generic_plan
