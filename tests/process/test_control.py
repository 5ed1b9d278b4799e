"""Farms that are paused, resumed and drained while they run: through their socket, or from elsewhere through the database."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from farm.cli.main import main
from farm.control import SOCKET_NAME, connect
from farm.home import make_home
from tests.process import crew
from tests.process.conftest import MakeFarm
from tests.process.crew import wait_for
from tests.process.ledger import Ledger, effects_left, effects_of
from tests.process.running import RunningFarm

BEHIND = 300
"""Jobs that are claimed and wait behind a long one, held or in a ring."""
LANES = {"slow": {"queues": ["slow"], "subworkers": 1}, "rest": {"queues": ["a", "b"], "subworkers": 1}}


class Told:
    """What `farm` has said, and its exit code."""

    def __init__(self, *arguments: str) -> None:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            self.code = main(arguments)
        self.out, self.err = out.getvalue().splitlines(), err.getvalue().splitlines()

    @property
    def lines(self) -> list[str]:
        """What a command said that has done what it was asked."""
        assert self.code == 0, self.err
        return self.out


def waiting(ledger: Ledger, queue: str) -> Counter[str]:
    """Count where the jobs of a queue stand that have not ended."""
    of_queue = {row.id for row in ledger.query("SELECT id FROM farm.jobs WHERE queue = %s", queue)}
    return Counter(place.place for job_id, place in ledger.places().items() if job_id in of_queue and place.place != "result")


def enqueue_marks(ledger: Ledger, queue: str, numbers: range, effects: Path) -> list[int]:
    return ledger.enqueue_all([("mark", (str(effects), number)) for number in numbers], queue=queue)


@pytest.fixture
def live(make_farm: MakeFarm) -> RunningFarm:
    """A farm of two lanes, not yet started."""
    return make_farm(lanes=LANES, name="live")


def test_a_lane_is_paused_outlives_a_kill_and_goes_on(live: RunningFarm, ledger: Ledger, effects: Path, tmp_path: Path) -> None:
    """Nothing of it starts any more, what had not started is given back as it was, what runs goes on; a drain is as ever."""
    hold = tmp_path / "hold"
    hold.touch()
    assert Told("pause", "slow").err == [f"farm: no farm runs in {live.home} (FARM_HOME says where; `farm start CONFIG` starts one)"]
    running = ledger.enqueue("mark_until", (str(effects), 0, str(hold)), queue="slow")
    enqueue_marks(ledger, "slow", range(1, BEHIND + 1), effects)
    live.start()
    wait_for(lambda: effects_left(effects), "the start of the long one")
    wait_for(lambda: waiting(ledger, "slow")["leased"] > 1, "claimed jobs behind it")
    assert Told("pause", "slow").lines == ["lane slow is paused; 1 job still runs"]
    wait_for(
        lambda: (
            waiting(ledger, "slow")
            == {"leased": 1, "returned": waiting(ledger, "slow")["returned"], "ready": waiting(ledger, "slow")["ready"]}
        ),
        "what was given back",
    )
    assert {(place.attempt, place.lost) for place in ledger.places().values()} == {(0, 0)}
    hold.unlink()
    assert ledger.result(running).status == 1
    assert Told("pause", "slow", "--instance", "live").lines == ["lane slow is paused already"]
    unknown = Told("pause", "slaw")
    assert (unknown.code, unknown.err) == (2, ["farm: there is no lane 'slaw'; did you mean 'slow'? (lanes: slow, rest)"])

    live.kill()
    (other,) = enqueue_marks(ledger, "a", range(1000, 1001), effects)
    live.start("--burst", ready=False)
    assert live.wait() == 0, live.log
    assert live.log_lines("paused since before this start: lane slow; `farm resume` lets them go on")
    assert ledger.result(other).status == 1
    assert effects_of(effects) == {0: 1, 1000: 1}, "the other lane works, this one does not, and nothing but that is left"
    assert not (live.crew_lock.parent / SOCKET_NAME).exists()

    live.start()
    with connect(live.home) as farm:
        status = farm.ask("status")
        assert [(lane["name"], lane["held_by"]) for lane in status["lanes"]] == [("slow", ["paused"]), ("rest", [])]
        assert (status["pid"], status["instance"], status["config"]) == (live.pid, "live", str(live.config))
        assert status["paused"] == {"lanes": ["slow"], "queues": [], "every_lane": False}
    assert Told("resume").lines == ["resumed: lane slow"]
    assert Told("resume", "slow").lines == ["lane slow was not paused"]
    wait_for(lambda: ledger.settled() == BEHIND + 2, f"the end of all\n{live.log}")
    assert Told("drain").lines == ["draining: running jobs may end within 10 s", "left"]
    assert live.wait() == 0
    assert set(effects_of(effects).values()) == {1}
    assert {row.attempt for row in ledger.results().values()} == {1}
    ledger.check_all_ended()


def test_a_queue_is_paused_for_all_lanes_here_and_through_the_database(
    live: RunningFarm, ledger: Ledger, dsn: str, effects: Path, tmp_path: Path
) -> None:
    """Jobs of the others beside it go on, from the same rings. A request that was not answered in time is done by nobody later."""
    hold = tmp_path / "hold"
    hold.touch()
    ledger.enqueue("mark_until", (str(effects), 0, str(hold)), queue="b")
    jobs = [(("mark", (str(effects), number)), "ab"[number % 2]) for number in range(1, 2 * BEHIND + 1)]
    for queue in "ab":
        ledger.enqueue_all([job for job, of in jobs if of == queue], queue=queue)
    live.start()
    wait_for(lambda: effects_of(effects)[0], f"the start of the long one\n{live.log}")
    (host,) = ledger.live_hosts()
    through = ("--host", str(host), "--dsn", dsn)
    where = f"host {host} ({os.uname().nodename}, live)"
    assert Told("pause", "--queue", "a", *through).lines == [f"{where}: queue a is paused"]
    before = effects_left(effects)
    hold.unlink()
    wait_for(lambda: not waiting(ledger, "b") and not waiting(ledger, "a")["leased"], f"the end of all but the paused ones\n{live.log}")
    started = effects_of(effects)
    assert sum(number % 2 == 0 for number in started) <= before + 1, "a job of the queue may have been starting just then"
    assert Told("pause", "--queue", "a", "--all-hosts", "--dsn", dsn).lines == [f"{where}: queue a is paused already"]
    live.wait_log("pause, asked for by .*, through the database: queue a is paused$")

    # Every lane, while it is stopped: it is not asked any more when it goes on.
    live.signal(signal.SIGSTOP)
    silent = Told("pause", "--all", "--timeout", "300ms", *through)
    live.signal(signal.SIGCONT)
    assert silent.code == 2
    assert silent.out[0].startswith(f"{where}: no answer within 300ms, so nothing is asked of it any more")
    (b,) = enqueue_marks(ledger, "b", range(2001, 2002), effects)
    assert ledger.result(b).status == 1

    for wrong, message in (
        (("--host", "nowhere", "--dsn", dsn), "farm: no host 'nowhere' lives (`farm status` lists them)"),
        (("--host", "99", "--dsn", dsn), "farm: no host '99' lives (`farm status` lists them)"),
        (("--dsn", dsn), "farm: a farm on this machine is asked without a database: --dsn and --config need --host or --all-hosts"),
        (
            ("--instance", "live", "--all-hosts"),
            "farm: expected either --instance, a farm on this machine, or --host or --all-hosts, through the database",
        ),
    ):
        told = Told("resume", *wrong)
        assert (told.code, told.err) == (2, [message])
    refused = Told("pause", "slaw", "--host", "live", "--dsn", dsn)
    assert (refused.code, refused.out) == (2, [f"{where}: there is no lane 'slaw'; did you mean 'slow'? (lanes: slow, rest)"])
    assert Told("resume", "--host", "live", "--dsn", dsn).lines == [f"{where}: resumed: queue a"]
    wait_for(lambda: ledger.settled() == 2 * BEHIND + 2, f"the end of all\n{live.log}")
    assert set(effects_of(effects).values()) == {1}
    drained = Told("stop", "--all-hosts", "--dsn", dsn)
    assert drained.lines == [f"{where}: draining: running jobs may end within 10 s", f"host {host}: left"]
    assert live.wait() == 0
    gone = Told("drain", *through)
    assert (gone.code, gone.err) == (2, [f"farm: host {host} ({os.uname().nodename}) has left, or was declared dead"])
    ledger.check_all_ended()


def test_drains_of_all_kinds(
    make_farm: MakeFarm, ledger: Ledger, effects: Path, tmp_path: Path, farm_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Begun without waiting, asked for again, hurried; of a farm that is killed meanwhile; below a FARM_HOME with a very long name."""
    hold = tmp_path / "hold"
    hold.touch()
    home = farm_home / ("h" * 100) / ("i" * 100)
    make_home(home)
    monkeypatch.setenv("FARM_HOME", str(home))
    farm = make_farm(home=home, subworkers=1).start()
    job_id = ledger.enqueue("mark_until", (str(effects), 1, str(hold)), max_attempts=1)
    wait_for(lambda: effects_left(effects), "its start")
    assert Told("drain", "--no-wait").lines == ["draining: running jobs may end within 10 s"]
    waits = subprocess.Popen([sys.executable, "-m", "farm.cli.main", "drain"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert waits.stdout is not None
    assert waits.stdout.readline().startswith("draining already: running jobs may end within ")
    assert Told("stop", "--hurry").lines == ["running jobs are ended now", "left"]
    assert waits.communicate() == ("left\n", "")
    assert waits.returncode == farm.wait() == 0
    assert ledger.error(job_id).startswith("Stopped: ")
    assert not crew.holders(farm.crew_lock)

    farm.start()
    ledger.enqueue("mark_until", (str(effects), 2, str(hold)))
    wait_for(lambda: effects_of(effects)[2], "its start")
    waits = subprocess.Popen([sys.executable, "-m", "farm.cli.main", "drain"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    farm.wait_log("drain, asked for by")
    farm.kill()
    _said, complained = waits.communicate()
    assert waits.returncode == 1
    assert complained == "farm: the farm 'test' has gone without a word: what became of its jobs stands in its log\n"
    farm.start("--burst", ready=False)
    hold.unlink()
    assert farm.wait() == 0, farm.log
    ledger.check_all_ended()
