"""PostgreSQL goes away under load and comes back: the farm waits, goes on, and does nothing twice."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.process.conftest import MakeFarm
from tests.process.crew import wait_for
from tests.process.ledger import Ledger, effects_left, effects_of
from tests.process.running import RunningFarm
from tests.servers import Server

AWAY_S = float(os.environ.get("FARM_TEST_AWAY_S", "5"))
JOBS = 4_000
LINES_MAX = 12


@pytest.mark.timeout(120 + int(AWAY_S))
@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_database_away_under_load(farm: RunningFarm, ledger: Ledger, effects: Path, server: Server, mode: str) -> None:
    """However the database goes, the farm says so once, keeps what is finished, goes on when it is back, and runs no job twice."""
    ids = ledger.enqueue_marks(JOBS, effects, seconds=0.001)
    farm.start()
    wait_for(lambda: effects_left(effects) > JOBS / 8, "a farm under load")
    lines_before = len(farm.log.splitlines())
    server.stop(mode)
    went_at = time.monotonic()
    farm.wait_log("the database is away")
    wait_for(lambda: time.monotonic() >= went_at + AWAY_S, "the end of the outage", wait_s=AWAY_S + 5)
    started = effects_left(effects)
    server.start()
    farm.wait_log("the database is back")
    wait_for(lambda: effects_left(effects) > started, "the next start of a job")
    wait_for(lambda: ledger.settled() == JOBS, f"all results\n{farm.log}")
    said = farm.log.splitlines()[lines_before:]
    print("\n".join(said))
    assert len(said) <= LINES_MAX
    farm.stop()
    assert effects_of(effects) == dict.fromkeys(ids, 1)
    assert all((row.status, row.attempt) == (1, 1) for row in ledger.results().values())
    assert len(ledger.query("SELECT id FROM farm.host")) == 1, "the host was not declared dead"
    ledger.check_all_ended()


def test_database_away_at_the_end(farm: RunningFarm, ledger: Ledger, effects: Path, server: Server) -> None:
    """A farm that is told to leave while the database is away commits what it has as soon as the database is back."""
    ids = ledger.enqueue_marks(2000, effects, seconds=0.001)
    farm.start()
    wait_for(lambda: effects_left(effects) > 300, "a farm under load")
    server.stop("immediate")
    farm.wait_log("the database is away")
    farm.signal(signal.SIGTERM)
    farm.wait_log("draining")
    server.start()
    assert farm.wait() == 0, farm.log
    started = effects_of(effects)
    assert set(started.values()) == {1}
    results = ledger.results()
    assert {n for n, job_id in ids.items() if job_id in results} == set(started)
    assert {place.attempt for place in ledger.places().values() if place.place != "result"} <= {0}
    assert ledger.query("SELECT id FROM farm.lease") == []
    assert farm.crew_gone()
    assert not farm.rings.exists()
    ledger.check()


def test_database_away_for_good(make_farm: MakeFarm, ledger: Ledger, effects: Path, server: Server) -> None:
    """A farm that leaves without its database keeps what is finished in its rings; the next start commits it."""
    farm = make_farm(drain_timeout="0s")
    ids = ledger.enqueue_marks(2000, effects, seconds=0.001)
    farm.start()
    wait_for(lambda: effects_left(effects) > 300, "a farm under load")
    server.stop("immediate")
    farm.wait_log("the database is away")
    farm.signal(signal.SIGTERM)
    assert farm.wait() == 1, farm.log
    assert farm.log_lines(r"ERROR left with [1-9][\d,]* jobs? without a committed outcome"), farm.log
    wait_for(farm.crew_gone, "the end of the crew")
    started = effects_of(effects)
    server.start()
    farm.start("--burst", ready=False)
    assert farm.wait() == 0, farm.log
    assert set(effects_of(effects)) == set(ids)
    again = {n for n, times in effects_of(effects).items() if times > 1}
    assert len(again) <= 2, "only what was running at the end"
    assert again <= set(started)
    ledger.check_all_ended()


def test_start_without_database(farm: RunningFarm, server: Server) -> None:
    """Without its database a farm does not start: one line, exit code 2, nothing left behind."""
    server.stop()
    farm.start(ready=False)
    assert farm.wait() == 2
    assert len(farm.log.splitlines()) == 1, farm.log
    server.start()
    wait_for(farm.crew_gone, "the end of writer and zygote")
    assert not farm.rings.exists()
