"""Measurements of the farm on this machine: each script prints a table, its environment and one JSON line."""
