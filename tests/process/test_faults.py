"""One farm after the other thing that happens to a database and its clients: it goes on, and no job is lost, ended twice or blamed."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.process import crew
from tests.process.conftest import MakeFarm
from tests.process.crew import wait_for
from tests.process.ledger import Ledger, effects_left, effects_of
from tests.process.locks import leases_locked
from tests.process.running import RunningFarm
from tests.servers import Server

BACKENDS = """
SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'farm %%' AND datname = current_database() ORDER BY pid
"""


class Load:
    """Marks that are enqueued again and again, so that something is always under way."""

    def __init__(self, ledger: Ledger, effects: Path) -> None:
        self._ledger = ledger
        self._effects = effects
        self._numbers = 0

    def add(self, jobs: int = 300) -> None:
        self._ledger.query(
            "SELECT farm.enqueue('chores:mark', jsonb_build_array(%s::text, n, 0.002)) FROM generate_series(%s::int, %s::int) AS n",
            str(self._effects),
            self._numbers + 1,
            self._numbers + jobs,
        )
        self._numbers += jobs

    def started(self) -> int:
        return effects_left(self._effects)

    def go_on(self) -> float:
        """Wait until more has started and been committed than now; returns the seconds that took until the first of both."""
        begun, started, settled = time.monotonic(), self.started(), self._ledger.settled()
        self.add()
        wait_for(lambda: self.started() > started and self._ledger.settled() > settled, "work that goes on")
        return time.monotonic() - begun

    def finish(self, farm: RunningFarm) -> None:
        """Wait for all, and look that each has run once."""
        wait_for(lambda: self.started() == self._numbers, f"all starts\n{farm.log}")
        assert effects_of(self._effects) == dict.fromkeys(range(1, self._numbers + 1), 1)


@pytest.fixture
def load(ledger: Ledger, effects: Path) -> Load:
    return Load(ledger, effects)


@contextmanager
def no_connection_left(server: Server) -> Iterator[None]:
    """Take every connection that the server still has to give."""
    held: list[psycopg.Connection[tuple[object, ...]]] = []
    try:
        while len(held) < 200:
            try:
                held.append(psycopg.connect(server.dsn("postgres"), connect_timeout=10))
            except psycopg.OperationalError:
                break
        assert 10 < len(held) < 200
        yield
    finally:
        for connection in held:
            connection.close()


@pytest.mark.timeout(180)
def test_what_happens_to_a_database(make_farm: MakeFarm, farm_home: Path, ledger: Ledger, load: Load, dsn: str, server: Server) -> None:
    """Backends that are ended or killed, a table that somebody has locked, no connection left, a kill of the whole server."""
    farm = make_farm()
    chance = random.Random(7)
    load.add()
    farm.start()
    took: dict[str, float] = {}
    wait_for(load.started, "the first start")
    # pg_terminate_backend at random, on all connections of the farm, a hundred times.
    ended = 0
    while ended < 100:
        pids = [row.pid for row in ledger.query(BACKENDS)]
        for pid in chance.sample(pids, min(len(pids), 2)):
            ended += ledger.query("SELECT pg_terminate_backend(%s) AS done", pid)[0].done
        if ended % 20 == 0:
            load.add(20)
        time.sleep(0.005)
    took["100 backends ended"] = load.go_on()
    assert len(ledger.query(BACKENDS)) <= 6, "no connection is left behind"
    # One backend is killed: the server ends all others and recovers.
    for _ in range(2):
        os.kill(chance.choice([row.pid for row in ledger.query(BACKENDS)]), signal.SIGKILL)
        wait_for(lambda: _answers(ledger), "the end of the recovery")
        took["a backend killed"] = load.go_on()
    # Somebody holds the strongest lock on a table that every claim and commit needs.
    with psycopg.connect(dsn) as other:
        other.execute("LOCK TABLE farm.lease IN ACCESS EXCLUSIVE MODE")
        load.add()
        time.sleep(1.0)
    took["a table locked for 1 s"] = load.go_on()
    # No connection is left: who starts is told so in one line, and who runs goes on.
    second = make_farm(name="second", home=farm_home / "second")
    with no_connection_left(server):
        second.start(ready=False)
        assert second.wait() == 2
        assert len(second.log.splitlines()) == 1, second.log
        assert "too many clients already" in second.log
        started = load.started()
        assert farm.running
    took["no connection left"] = load.go_on()
    assert load.started() > started
    print({what: f"{seconds:.2f} s" for what, seconds in took.items()})
    load.finish(farm)
    farm.stop()
    assert len(ledger.query("SELECT id FROM farm.host")) == 1, "it was never taken for dead"
    assert {(row.status, row.attempt) for row in ledger.results().values()} == {(1, 1)}
    away = farm.log_lines("the database is away")
    assert len(farm.log.splitlines()) < 30 + 2 * len(away), farm.log
    ledger.check_all_ended()


def _answers(ledger: Ledger) -> bool:
    try:
        return bool(ledger.query("SELECT 1 AS one"))
    except psycopg.OperationalError:
        return False


@pytest.mark.timeout(120)
def test_how_soon_work_goes_on(make_farm: MakeFarm, ledger: Ledger, load: Load, effects: Path, tmp_path: Path, dsn: str) -> None:
    """A subworker is killed in the middle of a job, or with an outcome not committed; a supervisor is killed and started again."""
    farm = make_farm(subworkers=2)
    hold = tmp_path / "hold"
    hold.touch()
    farm.start()
    took: dict[str, list[float]] = {"a subworker killed": [], "a supervisor killed and restarted": []}
    victims = tmp_path / "victims"
    job_id = ledger.enqueue("mark_until", (str(victims), 0, str(hold)), max_attempts=20)
    for kills in range(1, 4):
        wait_for(lambda kills=kills: effects_left(victims) == kills, "its start")  # type: ignore[misc]
        pid = int(victims.read_text().splitlines()[-1].split()[1])
        begun = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda kills=kills: effects_left(victims) > kills, "its next start")  # type: ignore[misc]
        took["a subworker killed"].append(time.monotonic() - begun)
    assert ledger.failures(job_id) == ["crashed"] * 3
    for kills in range(4, 6):
        begun = time.monotonic()
        farm.kill()
        farm.start()
        wait_for(lambda kills=kills: effects_left(victims) > kills, "its next start")  # type: ignore[misc]
        took["a supervisor killed and restarted"].append(time.monotonic() - begun)
    hold.unlink()
    assert ledger.result(job_id).attempt == 6
    assert ledger.failures(job_id) == ["crashed"] * 3 + ["lost"] * 2
    # Killed with outcomes in its ring that no commit has taken: they are committed, and nothing is done again.
    with leases_locked(dsn):
        load.add(100)
        wait_for(lambda: load.started() > 20, "outcomes that cannot be committed")
        for pid in farm.subworkers():
            crew.kill(pid)
        wait_for(lambda: len(farm.subworkers()) == 2, "successors")
    wait_for(lambda: ledger.settled() == 101, f"all results\n{farm.log}")
    again = {number: times for number, times in effects_of(effects).items() if times > 1}
    assert len(again) <= 2, "only what was running"
    # A hundred signals are as one, and hurry.
    for _ in range(100):
        farm.signal(signal.SIGTERM)
    assert farm.wait() == 0, farm.log
    print({what: [f"{seconds:.2f} s" for seconds in each] for what, each in took.items()})
    ledger.check_all_ended()
