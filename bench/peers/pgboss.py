"""pg-boss, fetching and completing whole batches, which is its fastest documented way."""

from __future__ import annotations

from bench.peers.packages import NodePackages
from bench.peers.peer import Peer, Setting
from bench.peers.victim import AT_ONCE, PeerVictim

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

# Heartbeats are off unless a queue asks for them; 10 s is the shortest that it takes. The interval of its supervision is 60 s
# by default: here 10 s, so that there is something to see within the minute.
VICTIM = PeerVictim(
    name="pgboss",
    store="pgboss",
    title=PEER.title,
    packages=PEER.packages,
    recovery="heartbeatSeconds 10 (off), supervision each 10 s (60 s)",
    fill_options={"queue": {"heartbeatSeconds": 10}},
    work_options={"batchSize": AT_ONCE, "boss": {"superviseIntervalSeconds": 10, "monitorIntervalSeconds": 10}},
    watched=True,
)
