"""The garbage collector of processes that hold thousands of short-lived tuples at a time, and make hardly any cycles."""

from __future__ import annotations

import gc

OBJECTS = (100_000, 50, 100)
"""Thresholds of the three ages. The usual 700 had the collector walk through every batch several times: 5 to 10 % of the work."""


def collect_rarely() -> None:
    """Leave what is there now out of all collections, and collect seldom from now on. Once, when everything is set up."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*OBJECTS)
