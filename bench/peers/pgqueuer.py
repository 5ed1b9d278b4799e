"""PGQueuer, taking 200 jobs at once, with uvloop and asyncpg, installed as `pgq install` does (durable)."""

from __future__ import annotations

from bench.peers.packages import PythonPackages
from bench.peers.peer import Peer, Setting

PEER = Peer(
    name="pgqueuer",
    title="PGQueuer 1.6.0",
    packages=PythonPackages("pgqueuer_worker", ("pgqueuer==1.6.0", "asyncpg==0.32.0")),
    settings=tuple(Setting(words=f"{count} x batch 200", processes=count, options={"batch_size": 200}) for count in (1, 2)),
    jobs=100_000,
    pairs=3,
    must=3,
    aim=5,
    keeps="rows of its log",
)
