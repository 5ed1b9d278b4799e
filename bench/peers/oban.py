"""Oban for Python, whose worker is killed. It is not among those whose throughput is measured: it needs Python 3.12."""

from __future__ import annotations

from dataclasses import replace

from bench.peers.packages import PythonPackages
from bench.peers.victim import AT_ONCE, PeerVictim

# Its lifeline takes back what began more than rescue_after ago, whether its worker lives or not: 300 s by default. It must be longer
# than the longest job. Its page "Ready for Production" sets the interval of the lifeline to 30 s.
VICTIM = PeerVictim(
    name="oban",
    store="oban",
    title="oban-py 0.7.0",
    packages=PythonPackages("oban_worker", ("oban==0.7.0",), python=(3, 12)),
    recovery="lifeline each 30 s, rescue_after 300 s",
    work_options={"oban": {"queues": {"default": AT_ONCE}, "lifeline": {"interval": 30}}},
    watched=True,
)
SHORT = replace(
    VICTIM,
    name="oban-short",
    recovery="lifeline each 5 s (60 s), rescue_after 20 s (300 s)",
    work_options={"oban": {"queues": {"default": AT_ONCE}, "lifeline": {"interval": 5, "rescue_after": 20}}},
)
