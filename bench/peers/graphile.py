"""Graphile Worker, batched: its local queue fetches hundreds of jobs at once, and completions are coalesced. It deletes what is done."""

from __future__ import annotations

from bench.peers.packages import NodePackages
from bench.peers.peer import Peer, Setting
from bench.peers.victim import AT_ONCE, PeerVictim

PEER = Peer(
    name="graphile",
    title="Graphile Worker 0.17.3",
    packages=NodePackages("graphile.mjs", ("graphile-worker@0.17.3", "pg@8.23.1", "node@24.21.0")),
    settings=tuple(
        Setting(
            words=f"{processes} x {at_once} jobs, local queue {fetched:,}, batched completion",
            processes=processes,
            options={
                "concurrentJobs": at_once,
                "localQueue": {"size": fetched},
                "completeJobBatchDelay": 0,
                "failJobBatchDelay": 0,
            },
        )
        for processes, at_once, fetched in ((1, 24, 500), (1, 100, 1_000), (2, 24, 500), (2, 100, 1_000))
    ),
    jobs=100_000,
    pairs=5,
    must=1.5,
    aim=2.5,
    keeps="nothing: it deletes the job",
)

# A worker that dies keeps its jobs locked for at least 4 hours: its page "Error handling" says so, and to unlock them by hand where that is
# too long. Recovery by heartbeats ("Crashed worker recovery") is a part of Worker Pro.
VICTIM = PeerVictim(
    name="graphile",
    store="graphile",
    title=PEER.title,
    packages=PEER.packages,
    recovery="locks of 4 hours, fixed",
    work_options={"worker": {"concurrentJobs": AT_ONCE}},
    watched=True,
)
