"""pg-boss, fetching and completing whole batches, which is its fastest documented way."""

from __future__ import annotations

from bench.peers.packages import NodePackages
from bench.peers.peer import Peer, Setting

PEER = Peer(
    name="pgboss",
    title="pg-boss 12.35.0",
    packages=NodePackages("pgboss.mjs", ("pg-boss@12.35.0", "node@24.21.0")),
    settings=tuple(
        Setting(words=f"{count} x 2 loops, batch 1,000", processes=count, options={"batchSize": 1_000, "loops": 2}) for count in (1, 2)
    ),
    jobs=100_000,
    pairs=3,
    must=2,
    aim=4,
    keeps="the row, state `completed`",
)
