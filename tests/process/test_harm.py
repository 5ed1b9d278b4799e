"""Single processes come to harm: the others go on, and a successor takes over."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.process import crew
from tests.process.conftest import MakeFarm
from tests.process.crew import wait_for
from tests.process.ledger import Ledger, effects_left, effects_of
from tests.process.running import RunningFarm
from tests.process.test_secrets import AS_NOBODY


def test_idle_subworkers_are_replaced(farm: RunningFarm, ledger: Ledger) -> None:
    """A subworker that dies while it has nothing to do has a successor soon, and nobody else notices."""
    farm.start()
    before = set(farm.all_subworkers(2))
    for pid in before:
        crew.kill(pid)
    wait_for(lambda: len(set(farm.subworkers()) - before) == 2, "two successors")
    after = set(farm.subworkers())
    assert not before & after
    pids = {ledger.result(job_id).value for job_id in ledger.enqueue_all([("who", ())] * 20)}
    assert pids <= after
    farm.stop()
    ledger.check_all_ended()


def test_subworkers_outlive_their_zygote(farm: RunningFarm, ledger: Ledger) -> None:
    """When the zygote dies its subworkers go on, and another zygote makes their successors."""
    farm.start()
    before, zygote = set(farm.all_subworkers(2)), farm.zygote()
    crew.kill(zygote)
    wait_for(lambda: crew.zygotes(farm.crew_lock) not in ([], [zygote]), "another zygote")
    assert ledger.result(ledger.enqueue("who")).value in before
    crew.kill(next(iter(before)))
    wait_for(lambda: len(set(farm.subworkers()) - before) == 1, "a subworker of the new zygote")
    assert ledger.result(ledger.enqueue("who")).status == 1
    farm.stop()
    ledger.check_all_ended()


@pytest.mark.skipif(bool(AS_NOBODY) and shutil.which("setpriv") is None, reason="setpriv is missing")
def test_no_more_processes(make_farm: MakeFarm, ledger: Ledger) -> None:
    """Where processes cannot be made the farm goes on with those that it has, says once what is short, and is whole again by itself."""
    farm = make_farm(wrapper=AS_NOBODY)
    farm.start()
    wait_for(farm.spares, "a spare")
    zygote = farm.zygote()
    allow_processes(zygote, "0")
    survivor, *others = *farm.all_subworkers(2), *farm.spares()
    for pid in others:
        crew.kill(pid)
    farm.wait_log("ERROR lane default has 1 of 2 subworkers: no process can be made .*; it is tried again and again")
    wait_for(lambda: farm.subworkers() == [survivor], "the last one")
    assert ledger.result(ledger.enqueue("who")).value == survivor
    allow_processes(zygote, "unlimited")
    farm.wait_log("WARNING lane default has all its subworkers again")
    wait_for(farm.spares, "another spare")
    assert (farm.zygote(), len(farm.subworkers())) == (zygote, 2)
    farm.stop()


def allow_processes(pid: int, soft: str) -> None:
    """Set how many processes the user of this one may have, before it is told that there cannot be another."""
    hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    soft = str(hard) if soft == "unlimited" and hard != resource.RLIM_INFINITY else soft
    subprocess.run([*AS_NOBODY, "prlimit", f"--pid={pid}", f"--nproc={soft}:"], check=True)


def test_a_writer_that_stands_still(make_farm: MakeFarm, ledger: Ledger, effects: Path) -> None:
    """While the writer stands still a subworker fills its ring and then waits; awake again, it commits all of it."""
    farm = make_farm(subworkers=2, claim_max=10_000)
    farm.start()
    writer = farm.writer()
    crew.kill(writer, signal.SIGSTOP)
    given = ledger.enqueue_all([("give_text", (100_000,))] * 60)
    ids = ledger.enqueue_marks(2000, effects)
    beats: list[list[int]] = []
    wait_for(lambda: all_stuck(ledger, beats), "a ring that is full")
    assert ledger.settled() == 0
    crew.kill(writer, signal.SIGCONT)
    wait_for(lambda: ledger.settled() == len(given) + len(ids), f"all results\n{farm.log}")
    farm.stop()
    assert effects_of(effects) == dict.fromkeys(ids, 1)
    assert {row.attempt for row in ledger.results().values()} == {1}
    ledger.check_all_ended()


def all_stuck(ledger: Ledger, previous: list[list[int]]) -> bool:
    """Say whether the running set has stopped changing over some beats: of short jobs, so they wait for room to publish."""
    (row,) = ledger.query("SELECT beat, running FROM farm.heartbeat WHERE state = 'live'")
    if row.running and (not previous or row.beat != previous[-1][0]):
        previous.append([row.beat, *row.running])
    return len(previous) >= 4 and len({tuple(entry[1:]) for entry in previous[-4:]}) == 1


def test_overwritten_rings(make_farm: MakeFarm, ledger: Ledger) -> None:
    """A job that writes over its subworker's shared memory ends that subworker alone; it counts as a crash of that job."""
    farm = make_farm(subworkers=2)
    farm.start()
    wild = ledger.enqueue("scribble", max_attempts=2)
    good = ledger.enqueue_all([("who", ())] * 200)
    assert "overwritten" in ledger.error(wild)
    assert ledger.failures(wild) == ["crashed"] * 2
    assert all(ledger.result(job_id).status == 1 for job_id in good)
    assert farm.log_lines("has overwritten its result ring")
    assert not farm.log_lines("the writer ended")
    farm.stop()
    ledger.check_all_ended()


def test_a_job_that_is_stopped(make_farm: MakeFarm, ledger: Ledger, effects: Path) -> None:
    """A subworker that was stopped in the middle of a job is ended at the job's deadline all the same."""
    farm = make_farm(subworkers=1)
    job_id = ledger.enqueue("mark", (str(effects), 1, 3600), timeout_s=1.0, max_attempts=1)
    farm.start()
    wait_for(lambda: effects_left(effects) == 1, "the start of the job")
    crew.kill(farm.subworkers()[0], signal.SIGSTOP)
    assert ledger.error(job_id).startswith("TimedOut")
    assert ledger.result(ledger.enqueue("who")).status == 1
    farm.stop()
    ledger.check_all_ended()


def test_a_subworker_that_is_killed_while_it_runs_nothing(make_farm: MakeFarm, ledger: Ledger) -> None:
    """It is said once, and another one takes its place."""
    farm = make_farm(subworkers=1)
    farm.start()
    crew.kill(farm.subworkers()[0])
    farm.wait_log(r"WARNING w0 \(default\), while it ran nothing: its subworker was killed by SIGKILL")
    assert ledger.result(ledger.enqueue("who")).status == 1
    farm.stop()
    assert len(farm.log_lines("WARNING|ERROR")) == 1


def test_closed_descriptors(farm: RunningFarm, ledger: Ledger) -> None:
    """A job that closes its subworker's descriptors ends that subworker; no job that waited behind it is blamed."""
    calls: list[tuple[str, object]] = [*[("mark", (os.devnull, 1, 0.003))] * 30, ("close_all", (3,))]
    given = ledger.enqueue_all(calls * 4, max_attempts=1)
    farm.start()
    assert [ledger.result(job_id).status for job_id in given] == [1] * len(given)
    assert farm.log_lines("Bad file descriptor")
    farm.stop()
    ledger.check_all_ended()


def test_closed_output(farm: RunningFarm, ledger: Ledger) -> None:
    """A pipe that no job can write to any more does not keep the supervisor awake."""
    farm.start()
    job_id = ledger.enqueue("close_all", (0, 2.0))
    wait_for(lambda: ledger.places()[job_id].place != "ready", "the start of the job")
    spent = cpu_s(farm.pid)
    assert ledger.result(job_id).status == 1
    assert cpu_s(farm.pid) - spent < 1.0
    farm.stop()
    ledger.check_all_ended()


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("header", [0, 1])
def test_a_file_that_no_writer_can_read(farm: RunningFarm, ledger: Ledger, header: int) -> None:
    """A writer goes on without the ring that it cannot read, and its subworker is replaced."""
    farm.start()
    wild = ledger.enqueue("break_ring", (header,))
    ledger.result(wild)
    crew.kill(farm.writer())
    farm.wait_log("has overwritten its result ring")
    assert all(ledger.result(job_id).status == 1 for job_id in ledger.enqueue_all([("who", ())] * 50))
    assert len(farm.log_lines("the writer ended")) == 1
    farm.stop()
    ledger.check_all_ended()


def test_taking_over_a_file_that_no_writer_can_read(farm: RunningFarm, ledger: Ledger) -> None:
    """A farm takes over what it can read of its predecessor's files, and starts."""
    farm.start()
    for _ in range(2):
        ledger.result(ledger.enqueue("break_ring", (1,)))
    farm.kill()
    farm.start()
    assert ledger.result(ledger.enqueue("who")).status == 1
    farm.stop()
    ledger.check_all_ended()
