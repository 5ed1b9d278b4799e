"""The farm's own log: the names of its events, how a line looks, where it goes."""
