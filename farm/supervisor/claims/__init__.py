"""From the database to this host: what is claimed for whom and when, and what is refused."""
