"""All of farm that talks to PostgreSQL: one class per kind of caller, one SQL statement per file of farm/sql."""
