"""PGQueuer, taking 200 jobs at once, with uvloop and asyncpg, installed as `pgq install` does (durable)."""

from __future__ import annotations

from bench.peers.packages import PythonPackages
from bench.peers.peer import Peer, Setting
from bench.peers.victim import AT_ONCE, PeerVictim

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

# A job whose heartbeat is 30 s old is picked by whoever looks next: its default since heartbeat_timeout has replaced retry_timer.
# It demands at least twice the batch as the limit of jobs at once.
VICTIM = PeerVictim(
    name="pgqueuer",
    store="pgqueuer",
    title=PEER.title,
    packages=PEER.packages,
    recovery="heartbeat_timeout 30 s",
    work_options={"run": {"batch_size": AT_ONCE // 2, "max_concurrent_tasks": AT_ONCE}},
)
