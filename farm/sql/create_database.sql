-- Make the farm's own database in an embedded server; run once, on the database postgres.
CREATE DATABASE farm
