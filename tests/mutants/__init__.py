"""Mistakes planted in farm on purpose, one at a time, in a copy: for each the suite must have a test that fails."""
