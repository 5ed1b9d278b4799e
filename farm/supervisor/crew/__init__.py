"""The children of a farm and their places: births, deaths, burials, successors."""
