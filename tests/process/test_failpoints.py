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


@pytest.mark.timeout(180)
@pytest.mark.leaves_rings
def test_killed_once_at_every_failpoint(make_farm: MakeFarm, ledger: Ledger, effects: Path, tmp_path: Path) -> None:
    """Subworkers, writer, zygote and supervisor die at each border of the data path; every job ends once, as what it was."""
    log, hold = tmp_path / "fired", tmp_path / "hold"
    names = ",".join(f"{name}:kill9" for name in POINTS)
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
    while (left := set(POINTS) - _fired(log)) - {LAST}:
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
    assert again <= len(POINTS)
    ledger.check_all_ended()
    assert [farm.spilled for farm in farms] == [[], []]


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
