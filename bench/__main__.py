"""`python -m bench [NAME ...]`: run the measurements that fit into nine minutes, or those named."""

from __future__ import annotations

import signal
import sys
from importlib import import_module

NAMES = (
    "boot_time", "idle_cost", "start_latency", "bulk_enqueue", "noop_throughput", "scaling", "cpu_jobs", "sleeps",
    "drain_cost", "takeover", "hogs", "backlog", "open_transaction", "breadth", "producer",
)  # fmt: skip
"""In this order, so that the short ones are seen first."""
ONLY_BY_NAME = (
    "answers",
    "capture",
    "lanes",
    "many_lanes",
    "recycle",
    "reloads",
    "retention",
    "scrape",
    "screen",
    "stealing",
    "tallies",
    "watched",
)
"""Those that would make all of them together too long."""


def main() -> int:
    """Run what was asked for; a wrong name is an error before anything runs."""
    names = sys.argv[1:] or NAMES
    known = (*NAMES, *ONLY_BY_NAME)
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"bench: no measurement {unknown[0]!r}: choose from {', '.join(known)}", file=sys.stderr)
        return 2
    # So that servers and farms are stopped and their directories removed, whoever ends this.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(143))
    for name in names:
        import_module(f"bench.{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
