"""awa, whose core is Rust, with handlers in Python."""

from __future__ import annotations

from bench.peers.packages import PythonPackages
from bench.peers.peer import Peer, Setting
from bench.peers.victim import AT_ONCE, PeerVictim

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

# By default a heartbeat is written every 30 s, is stale after 90 s, and looked at every 30 s: here a sixth of each, so that there is
# something to see within the minute.
VICTIM = PeerVictim(
    name="awa",
    store="awa",
    title=PEER.title,
    packages=PEER.packages,
    recovery="heartbeat each 5 s (30 s), stale after 15 s (90 s)",
    work_options={
        "queue": {"max_workers": AT_ONCE},
        "start": {"heartbeat_interval_ms": 5_000, "heartbeat_staleness_ms": 15_000, "heartbeat_rescue_interval_ms": 5_000},
    },
)
