"""What somebody has to do for the whole database: promote, expire, reap, prune."""
