"""`farm cancel`, `farm move` and `farm set`: by number, and in bulk after a question."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from farm import NoSuchJob, aconnect, connect
from farm.cli.main import main
from farm.store.cancels import CancelStore
from farm.store.selections import Selection, SelectionStore
from tests.store.bench import Bench

Run = Callable[..., "tuple[int, str, str]"]


@pytest.fixture
def run(dsn: str, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command on this database: its exit code, and what it printed and said."""

    def run(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in (*arguments, "--dsn", dsn)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def bench(dsn: str) -> Iterator[Bench]:
    made = Bench(dsn)
    yield made
    made.close()


def refused(run: Run, *arguments: object) -> str:
    code, out, said = run(*arguments)
    assert (code, out) == (2, "")
    assert said.count("\n") == 1
    return said


def states(bench: Bench) -> dict[int, str]:
    return dict(bench.rows("SELECT id, state FROM farm.jobs"))


def test_jobs_are_cancelled_by_number(run: Run, bench: Bench) -> None:
    held, waiting, ended = bench.enqueue(3)
    bench.claim(bench.host(), 1)
    CancelStore(bench.session).cancel([ended])
    assert run("cancel", held, waiting, ended, waiting, "--reason", "no \x1b more") == (
        0,
        "1 job cancelled, 1 job asked to end, 1 job had ended before\n",
        "",
    )
    assert bench.rows("SELECT error->>'message' FROM farm.jobs WHERE id = %s", waiting) == [("no \x1b more",)]
    assert run("cancel", waiting, 10**9)[:2] == (1, "1 job had ended before, 1 job not found\n")


def test_a_bulk_is_asked_about(run: Run, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = bench.enqueue(3, queue="mail")
    (other,) = bench.enqueue(1)
    held = bench.claim(bench.host(), 1, queue="mail").job_ids
    said = refused(run, "cancel", "--queue", "mail")
    assert said == "farm: 3 jobs of the queue mail would be cancelled: give --yes, since there is no terminal to ask on\n"
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdin.readline", lambda: "n\n", raising=False)
    assert run("cancel", "--queue", "mail")[:2] == (1, "nothing was done\n")
    monkeypatch.setattr("sys.stdin.readline", lambda: "y\n", raising=False)
    code, out, said = run("cancel", "--queue", "mail", "--state", "ready")
    assert (code, out) == (0, "2 jobs cancelled\n")
    assert said == "2 jobs of the queue mail would be cancelled. Go on? [y/N] "
    assert run("cancel", "--queue", "mail", "--yes")[:2] == (0, "1 job asked to end\n")
    assert run("cancel", "--queue", "mail", "--state", "ready")[:2] == (0, "there is nothing to cancel\n")
    assert run("cancel", "--task", "tests:*", "--state", "scheduled")[:2] == (0, "there is nothing to cancel\n")
    assert states(bench) == {held[0]: "claimed", other: "ready", **dict.fromkeys(set(ids) - set(held), "cancelled")}


def test_what_came_to_a_host_meanwhile_is_left_alone_where_only_waiting_jobs_are_meant(
    run: Run, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = bench.enqueue(3)
    pages = SelectionStore.pages

    def and_then_claim(store: SelectionStore, selection: Selection) -> Iterator[object]:
        for page in pages(store, selection):
            bench.claim(bench.host(), 1)
            yield page

    monkeypatch.setattr(SelectionStore, "pages", and_then_claim)
    assert run("cancel", "--state", "ready", "--yes")[:2] == (0, "2 jobs cancelled\n")
    assert states(bench) == {ids[0]: "claimed", ids[1]: "cancelled", ids[2]: "cancelled"}
    assert bench.rows("SELECT * FROM farm.cancel_request") == []


def test_waiting_jobs_are_moved_and_changed(run: Run, bench: Bench) -> None:
    held, one, two = bench.enqueue(3)
    (later,) = bench.enqueue(1, delay_s=3600)
    bench.claim(bench.host(), 1)
    assert run("move", held, one, 10**9, "--to-queue", "bulk")[:2] == (
        1,
        "1 job moved to bulk, 1 job not waiting any more, 1 job not found\n",
    )
    assert run("move", "--from-queue", "default", "--to-queue", "bulk", "--yes")[:2] == (0, "2 jobs moved to bulk\n")
    assert run("move", "--from-queue", "default", "--to-queue", "bulk", "--yes")[:2] == (0, "there is nothing to change\n")
    assert run("set", two, "--priority", 0)[:2] == (0, "1 job changed\n")
    assert run("set", "--queue", "bulk", "--state", "scheduled", "--run-at", "now", "--yes")[:2] == (0, "1 job changed\n")
    assert run("set", one, "--run-at", "2100-01-01T00:00:00Z")[:2] == (0, "1 job changed\n")
    # What was changed stands elsewhere afterwards, and is not found there once more.
    assert run("set", "--queue", "bulk", "--run-at", "now", "--yes")[:2] == (0, "3 jobs changed\n")
    assert run("set", one, "--run-at", "2100-01-01T00:00:00Z")[:2] == (0, "1 job changed\n")
    assert run("set", one, "--priority", 10**14)[0] == 2
    found = bench.rows("SELECT id, queue, priority, state FROM farm.jobs ORDER BY id")
    assert found == [
        (held, "default", 4, "claimed"),
        (one, "bulk", 4, "scheduled"),
        (two, "bulk", 0, "ready"),
        (later, "bulk", 4, "ready"),
    ]


def test_what_cannot_be_meant_is_refused_in_a_line(run: Run) -> None:
    for command in ("cancel",), ("set", "--priority", 1), ("move", "--to-queue", "x"):
        option = "--from-queue" if command[0] == "move" else "--queue"
        expected = f"farm: expected either IDs, or {option}, --task or --state, which find them\n"
        assert refused(run, *command) == refused(run, *command, 1, "--task", "a:b") == expected
    assert refused(run, "set", 1) == "farm: expected --priority or --run-at: what to change (farm set --help says more)\n"
    assert refused(run, "set", 1, "--priority", 10) == "farm: priority: expected 0 to 9, got 10\n"
    assert "queue: expected a name like" in refused(run, "move", "--from-queue", "a", "--to-queue", "B")
    for arguments in ("set", 1, "--run-at", "tomorrow"), ("cancel", "--state", "failed"), ("move", "--to-queue", "x", "--state", "running"):
        with pytest.raises(SystemExit) as caught:
            run(*arguments)
        assert caught.value.code == 2


def test_a_client_cancels(bench: Bench) -> None:
    held, waiting = bench.enqueue(2)
    bench.claim(bench.host(), 1)
    with connect(bench.dsn) as client:
        assert client.cancel(held) == client.cancel(held, "enough\0") == "asked"
        assert client.cancel(waiting) == "cancelled"
        assert client.cancel(waiting, reason="again") == "ended"
        for job_id in (10**9, 0, "1"):
            with pytest.raises(NoSuchJob, match=r"there is no job"):
                client.cancel(job_id)  # type: ignore[arg-type]
    assert bench.rows("SELECT reason FROM farm.cancel_request") == [("enough",)]
    assert bench.rows("SELECT error->>'message' FROM farm.result") == [("cancelled by request",)]


def test_a_client_for_asyncio_cancels(bench: Bench) -> None:
    import asyncio

    async def cancel() -> str:
        async with aconnect(bench.dsn) as client:
            return await client.cancel(await client.enqueue("tests:job"), reason="enough")

    assert asyncio.run(cancel()) == "cancelled"
