"""Procrastinate, whose worker is killed. It is not among those whose throughput is measured: it does some hundreds of jobs a second."""

from __future__ import annotations

from bench.peers.packages import PythonPackages
from bench.peers.victim import AT_ONCE, PeerVictim

# Its page "Retry stalled jobs" has a periodic task to be copied, which runs every 10 minutes and retries jobs of workers whose heartbeat
# is 30 s old: here every 10 s, so that there is something to see within the minute. Without that task they stay as they are for ever.
VICTIM = PeerVictim(
    name="procrastinate",
    store="procrastinate",
    title="Procrastinate 3.10.0",
    packages=PythonPackages("procrastinate_worker", ("procrastinate==3.10.0",)),
    recovery="retry_stalled_jobs each 10 s (10 min), heartbeat 30 s old",
    work_options={"cron": "* * * * * */10", "worker": {"concurrency": AT_ONCE}},
)
