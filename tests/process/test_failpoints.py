"""Every named failpoint, in real processes: each is killed there once, and nothing is lost, or finished twice."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from farm.failpoints import POINTS, FailpointError, Failpoints, parse_failpoints
from tests.process import crew
from tests.process.conftest import MakeFarm
from tests.process.crew import wait_for
from tests.process.ledger import Ledger, effects_left, effects_of

LAST = "supervisor.before_leave"
OF_RETENTION = {name for name in POINTS if name.startswith("retention.")}
ON_THE_WAY = set(POINTS) - OF_RETENTION


@pytest.mark.timeout(180)
@pytest.mark.leaves_rings
def test_killed_once_at_every_failpoint(make_farm: MakeFarm, ledger: Ledger, effects: Path, tmp_path: Path) -> None:
    """Subworkers, writer, zygote and supervisor die at each border of the data path; every job ends once, as what it was."""
    log, hold = tmp_path / "fired", tmp_path / "hold"
    names = ",".join(f"{name}:kill9" for name in sorted(ON_THE_WAY))
    ids = {0: _lose_a_host(make_farm, ledger, effects, hold)}
    # Two, so that one works while the other is started again.
    farms = [make_farm(name=name) for name in ("one", "two")]

    def tend() -> None:
        for farm in farms:
            if not farm.running:
                farm.start(ready=False, FARM_FAILPOINT=names, FARM_FAILPOINT_LOG=str(log))

    def all_settled() -> bool:
        tend()
        return ledger.settled() == len(ids)

    deadline = time.monotonic() + 120
    while (left := ON_THE_WAY - _fired(log)) - {LAST}:
        assert time.monotonic() < deadline, f"never passed: {left}\n{farms[0].log}\n{farms[1].log}"
        tend()
        if len(ids) - ledger.settled() < 30:
            ids |= _enqueue(ledger, effects, len(ids))
        time.sleep(0.02)
    wait_for(all_settled, "all results")
    for farm in farms:
        while not (farm.exit_code == 0 and LAST in _fired(log)):
            if not farm.running:
                farm.start(FARM_FAILPOINT=names, FARM_FAILPOINT_LOG=str(log))
            farm.signal(signal.SIGTERM)
            farm.wait()
    results = ledger.results()
    assert {results[job_id].value for job_id in ids.values()} == set(ids)
    assert all(results[job_id].status == 1 for job_id in ids.values())
    again = sum(effects_of(effects).values()) - len(ids)
    assert set(effects_of(effects)) == set(ids)
    assert again <= len(ON_THE_WAY)
    ledger.check_all_ended()
    assert [farm.spilled for farm in farms] == [[], []]


@pytest.mark.leaves_rings
def test_killed_at_every_step_of_retention(make_farm: MakeFarm, ledger: Ledger, effects: Path, tmp_path: Path) -> None:
    """Whoever comes next goes on: old jobs are gone in the end, and the others are where they were, once, and run when it is time."""
    log = tmp_path / "fired"
    old = ledger.enqueue_marks(100, effects)
    failed = ledger.enqueue("chores:fail", ("no",), max_attempts=1)
    later = ledger.enqueue_all([("chores:mark", (str(effects), 900 + n, 0.0)) for n in range(5)], delay_s=3600.0)
    farm = make_farm().start()
    wait_for(lambda: ledger.settled() == len(old) + 1, "all results")
    farm.kill()
    assert ledger.query("SELECT farm.begin_next_partition('0 s') AS begun")[0].begun
    assert ledger.query("SELECT farm.begin_pruning(1, 1, now(), '-infinity', '-infinity') AS begun")[0].begun
    before = ledger.query("SELECT j.*::text AS job FROM farm.jobs AS j WHERE id = ANY (%s) ORDER BY id", [failed, *later])

    def fired_all() -> bool:
        if not farm.running:
            names = ",".join(f"{name}:kill9" for name in sorted(OF_RETENTION))
            farm.start(ready=False, FARM_FAILPOINT=names, FARM_FAILPOINT_LOG=str(log))
        return _fired(log) == OF_RETENTION and not ledger.query("SELECT name FROM farm.pruned_table")

    wait_for(fired_all, "every step")
    assert ledger.query("SELECT j.*::text AS job FROM farm.jobs AS j ORDER BY id") == before
    assert ledger.query("SELECT tablename FROM pg_tables WHERE schemaname = 'farm' AND tablename ~ '_p1$'") == []
    ledger.check()
    ledger.query("UPDATE farm.scheduled SET run_at = now()")
    wait_for(lambda: ledger.settled() == 6, "those that stayed")
    assert {n for n in effects_of(effects) if n >= 900} == set(range(900, 905))


def _lose_a_host(make_farm: MakeFarm, ledger: Ledger, effects: Path, hold: Path) -> int:
    """Leave a lease behind whose host is gone for good, with a job that had started."""
    hold.touch()
    lost = ledger.enqueue("mark_until", (str(effects), 0, str(hold)), max_attempts=50)
    other = make_farm(name="other", subworkers=1).start()
    wait_for(lambda: effects_left(effects) == 1, "the start of the job")
    other.kill()
    crew.end_all(other.crew_lock)
    hold.unlink()
    return lost


def _enqueue(ledger: Ledger, effects: Path, first: int) -> dict[int, int]:
    """File jobs of which some hold up others, and one is due a little later."""
    rows = ledger.query(
        """
        SELECT n, farm.enqueue(
            'chores:mark',
            jsonb_build_array(%s::text, n, CASE n %% 8 WHEN 0 THEN 0.1 ELSE 0.001 END),
            max_attempts => 50,
            delay_s => CASE WHEN n %% 40 = 0 THEN 0.2 END) AS id
        FROM generate_series(%s::int, %s::int) AS n
        """,
        str(effects),
        first,
        first + 59,
    )
    return {row.n: row.id for row in rows}


def _fired(log: Path) -> set[str]:
    return {line.partition(":")[0] for line in log.read_text().splitlines()} if log.exists() else set()


def test_names_and_actions() -> None:
    """A failpoint says what is to happen at which passing; what cannot be understood is one line."""
    one, other = parse_failpoints("writer.after_commit:kill9@3, claimer.before_claim:sleep20ms@2+")
    assert (one.name, one.action, one.nth, one.on) == ("writer.after_commit", "kill9", 3, False)
    assert (other.action, other.sleep_s, other.nth, other.on) == ("sleep20ms", 0.02, 2, True)
    with pytest.raises(FailpointError, match=r"did you mean 'writer\.after_commit'"):
        parse_failpoints("writer.after_comit:kill9")
    for wrong in ("", ":kill@1", ":kill9@0", ":kill9@", ":sleep", ":sleep3x", ":kill9@1++"):
        with pytest.raises(FailpointError, match="expected name:action@n"):
            parse_failpoints(f"writer.after_commit{wrong}")


def test_passings_are_counted_and_firings_noted(tmp_path: Path) -> None:
    """What acted once does not act again in another process that has the same log; `+` does."""
    log = str(tmp_path / "fired")
    chosen = parse_failpoints("writer.after_read:sleep1ms@2,writer.after_ack:sleep1ms@1+")
    for _process in range(2):
        points = Failpoints(chosen, log)
        for _passing in range(3):
            points.passing("writer.after_read")
            points.passing("writer.after_ack")
            points.passing("writer.after_tail")
    fired = [line.split()[0] for line in Path(log).read_text().splitlines()]
    assert fired.count("writer.after_read:sleep1ms@2") == 1
    assert fired.count("writer.after_ack:sleep1ms@1+") == 6
