"""The writer: the only process that ends positions of a live lease. Takes outcomes from all result rings, commits them in batches."""
