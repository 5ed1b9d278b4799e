-- Create the schema and the list of its migrations. Several statements, the bootstrap of all others.
CREATE SCHEMA IF NOT EXISTS farm;
CREATE TABLE IF NOT EXISTS farm.migration (
    version int PRIMARY KEY,
    name text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
