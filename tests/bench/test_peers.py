"""The comparison with the peers: what needs none of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from bench.peers import packages
from bench.peers.__main__ import HEAD, PEERS, Comparison, fastest, main, row
from bench.peers.crew import Crew
from bench.peers.packages import NodePackages, PeerFailed, PythonPackages
from bench.peers.peer import Peer, Run

WORKER = "import sys; print('ready', flush=True); sys.stdin.readline(); print({said!r}, flush=True); {then}"
STAY = "sys.stdin.read()"


def comparison(name: str, farm: list[float], other: list[float]) -> Comparison:
    peer = PEERS[name]
    return Comparison(peer=peer, setting=peer.settings[0], farm=farm, other=other)


def worker(said: str, then: str = STAY) -> list[str]:
    return [sys.executable, "-c", WORKER.format(said=said, then=then)]


def test_an_unknown_peer_is_an_error_before_anything_is_installed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["graphile", "celery"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "bench.peers: no peer 'celery': choose from graphile, pgboss, pgqueuer, awa\n"


def test_the_faster_setting_has_the_higher_median_and_of_equals_the_first_is_taken() -> None:
    assert fastest({"one": [10.0, 30.0, 20.0], "two": [90.0, 1.0, 2.0], "three": [20.0]}) == "one"


def test_the_ratio_is_the_median_of_the_pairs_and_not_of_the_rates() -> None:
    one = comparison("graphile", farm=[100.0, 300.0, 200.0], other=[100.0, 100.0, 50.0])

    assert one.figure.value == 3.0
    assert one.figure.verdict == "aim"
    assert dict(zip(HEAD, row(one), strict=True)) == {
        "peer": "Graphile Worker 0.17.3",
        "at its best": "1 x 24 jobs, local queue 500, batched completion",
        "keeps": "nothing: it deletes the job",
        "jobs": "100,000",
        "farm, jobs/s": "200",
        "peer, jobs/s": "100",
        "ratio": "3.00",
        "minimum": "1.00",
        "maximum": "4.00",
    }


def test_a_rate_is_that_of_the_jobs_that_the_peer_had() -> None:
    assert Run(20_000, 4.0).rate == 5_000.0


@pytest.mark.parametrize("peer", PEERS.values(), ids=str)
def test_every_peer_has_its_statement_its_worker_and_exact_versions(peer: Peer) -> None:
    bench = Path(packages.__file__).parent.parent
    assert (bench / "sql" / f"done_{peer.name}.sql").is_file()
    match peer.packages:
        case PythonPackages(worker=name, pins=pins):
            assert (bench / "peers" / f"{name}.py").is_file()
            assert all(pin.count("==") == 1 for pin in pins)
        case NodePackages(worker=name, pins=pins):
            assert (bench / "peers" / name).is_file()
            assert all(pin.count("@") == 1 for pin in pins)
    assert peer.must < peer.aim
    assert len({setting.words for setting in peer.settings}) == len(peer.settings)
    assert json.dumps([dict(setting.options) for setting in peer.settings])


def test_another_version_is_another_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    first, second = NodePackages("x.mjs", ("x@1.0", "node@24")), NodePackages("x.mjs", ("x@1.1", "node@24"))

    assert first.directory == tmp_path / "farm-bench-peers" / "x-1.0_node-24"
    assert second.directory != first.directory


def test_an_install_that_fails_says_why_and_is_tried_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    peer = NodePackages("x.mjs", ("x@1.0",))

    for _ in range(2):
        with pytest.raises(PeerFailed, match="npm is not installed here"):
            peer.install()


def test_a_crew_begins_together_and_counts_what_all_of_its_workers_ran(tmp_path: Path) -> None:
    commands = [worker("started 3500000\nran 1\nran 40"), worker("a peer's own print\nstarted 2500000\nran 2")]

    with Crew(commands, directory=tmp_path, logs=tmp_path) as crew:
        crew.begin()
        assert crew.wait_ran(42) == 2.5


def test_a_worker_that_ends_too_early_is_a_failure_with_its_last_words(tmp_path: Path) -> None:
    with Crew([worker("ran 1", then="sys.exit('no such queue')")], directory=tmp_path, logs=tmp_path) as crew:
        crew.begin()
        with pytest.raises(PeerFailed, match="exit code 1: no such queue"):
            crew.wait_ran(2)
