"""The comparison of queues whose worker is killed: what needs none of the peers."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from bench import tasks
from bench.peers import packages, service
from bench.peers.__main__ import main
from bench.peers.effects import Effects
from bench.peers.kill import HEAD, VICTIMS, figures, judge, row
from bench.peers.packages import NodePackages, PeerFailed, PeerMissing, PythonPackages
from bench.peers.service import Launch, Service
from bench.peers.victim import PeerVictim, Victim
from bench.peers.worker import Effects as Worker
from tests.process.crew import wait_for


def test_an_unknown_queue_is_an_error_before_anything_is_installed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--kills", "farm", "celery"]) == 2
    assert capsys.readouterr().err.startswith("bench.peers: no peer 'celery': choose from farm, farm-any, pgqueuer, ")


def test_jobs_are_judged_by_what_they_noted_and_by_what_the_queue_knows(tmp_path: Path) -> None:
    effects = Effects(tmp_path / "effects")
    effects.path.write_text("s0000000\ne0000000\ns0000001\ns0000001\ne0000001\ns0000002\ne0000002\ne0000002\ns0000003\n")

    found = judge(7, effects, unfinished=[(3, False), (4, True)], finished_twice=1, kills=2, last_kill_s=3.0, all_done_s=None)

    assert effects.runs() == 4.5
    assert (found.stuck, found.failed, found.lost) == (1, 1, 2)
    assert (found.begun_again, found.ran_twice, found.finished_twice) == (1, 1, 1)
    assert row(VICTIMS["farm"], found)[-1] == "never seen"
    assert len(row(VICTIMS["farm"], found)) == len(HEAD)
    assert {one.name.rpartition(" ")[2]: one.verdict for one in figures([(VICTIMS["farm"], found), (VICTIMS["oban"], found)])} == {
        "stuck": "missed", "twice": "missed", "lost": "missed",
    }  # fmt: skip


def test_a_job_of_a_peer_and_one_of_farm_note_the_same(tmp_path: Path) -> None:
    effects = Effects(tmp_path / "effects")

    asyncio.run(Worker(str(effects.path)).run(7))
    tasks.effect(str(effects.path), 7, customer=1)

    assert effects.read() == ({7: 2}, {7: 2})
    assert effects.runs() == 2


def test_a_torn_line_is_no_effect_that_is_counted(tmp_path: Path) -> None:
    effects = Effects(tmp_path / "effects")
    effects.path.write_text("s0000000\ne00")

    with pytest.raises(ValueError, match="torn"):
        effects.read()


@pytest.mark.parametrize("victim", VICTIMS.values(), ids=lambda victim: victim.name)
def test_every_queue_has_its_statements_its_worker_and_exact_versions(victim: Victim) -> None:
    bench = Path(packages.__file__).parent.parent
    names = [f"unfinished_{victim.store}", f"twice_{victim.store}"]
    if isinstance(victim, PeerVictim):
        names += [f"watch_{victim.store}"] * victim.watched
        match victim.packages:
            case PythonPackages(worker=name, pins=pins):
                assert (bench / "peers" / f"{name}.py").is_file()
                assert all(pin.count("==") == 1 for pin in pins)
            case NodePackages(worker=name):
                assert (bench / "peers" / name).is_file()
    assert [name for name in names if not (bench / "sql" / f"{name}.sql").is_file()] == []


def test_a_python_that_is_not_here_is_said_and_is_no_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    with pytest.raises(PeerMissing, match=r"needs Python 3\.99 or newer"):
        PythonPackages("x_worker", ("x==1.0",), python=(3, 99)).install()


def test_a_service_is_started_again_when_it_is_killed_and_when_it_ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(service, "ENDS_MAX", 1)
    stays = Launch(command=[sys.executable, "-c", "import time; time.sleep(60)"], directory=tmp_path)
    with Service(stays, log=tmp_path / "log") as kept:
        first = kept.pid
        kept.kill(first)
        assert kept.pid != first
    ends = Launch(command=[sys.executable, "-c", "raise SystemExit('no such queue')"], directory=tmp_path)
    with Service(ends, log=tmp_path / "log") as kept:
        first = kept.pid
        wait_for(lambda: _look(kept) != first, "another start")
        with pytest.raises(PeerFailed, match=r"exit code 1: .*no such queue"):
            wait_for(lambda: _look(kept) == 0, "too many ends")


def _look(kept: Service) -> int:
    kept.look()
    return kept.pid
