"""awa, whose core is Rust, with handlers in Python."""

from __future__ import annotations

from bench.peers.packages import PythonPackages
from bench.peers.peer import Peer, Setting

PEER = Peer(
    name="awa",
    title="awa-pg 0.6.9",
    packages=PythonPackages("awa_worker", ("awa-pg==0.6.9",)),
    settings=tuple(
        Setting(
            words=f"{processes} x {workers:,} workers, poll 10 ms",
            processes=processes,
            options={"queue": {"max_workers": workers}, "start": {"poll_interval_ms": 10}},
        )
        for processes, workers in ((1, 1_000), (2, 1_000), (3, 500))
    ),
    jobs=20_000,
    pairs=3,
    must=12,
    aim=20,
    keeps="rows of its terminal history",
)
