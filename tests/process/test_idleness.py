"""Subworkers that have nothing to do, and what they still hear."""

from __future__ import annotations

from pathlib import Path

from tests.process.conftest import MakeFarm
from tests.process.crew import wait_for
from tests.process.ledger import Ledger
from tests.process.running import RunningFarm

BEATS = 3
"""Of the host, one a second: for so long nobody may stir."""


def test_who_has_nothing_to_do_sleeps_through(make_farm: MakeFarm, ledger: Ledger) -> None:
    """Those that run one job at a time, those that run many, and spares; each starts the next job that comes all the same."""
    farm = make_farm(
        lanes={
            "plain": {"queues": ["plain"], "subworkers": 2, "memory": "40MB"},
            "crowd": {"queues": ["crowd"], "subworkers": 1, "concurrency": 4, "memory": "40MB"},
        }
    ).start()
    farm.all_subworkers(3)
    wait_for(lambda: len(farm.spares()) == 2, "the spares")
    for _ in range(2):
        for queue in ("plain", "crowd"):
            assert ledger.result(ledger.enqueue("who", queue=queue)).attempt == 1
        wait_for(lambda: _sleep_through(farm, ledger), "a time in which nobody wakes")
    farm.stop()
    ledger.check_all_ended()


def _sleep_through(farm: RunningFarm, ledger: Ledger) -> bool:
    """Watch them over some heartbeats. Each looks by itself once a minute, so it may do that once."""
    before, beat = {pid: _switches(pid) for pid in (*farm.subworkers(), *farm.spares())}, _beat(ledger)
    wait_for(lambda: _beat(ledger) >= beat + BEATS, "some heartbeats")
    return len(before) == 5 and all(_switches(pid) <= switches + 1 for pid, switches in before.items())


def _switches(pid: int) -> int:
    """Count how often a process went to sleep."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches:"))


def _beat(ledger: Ledger) -> int:
    return int(ledger.query("SELECT max(beat) AS beat FROM farm.heartbeat")[0].beat)
