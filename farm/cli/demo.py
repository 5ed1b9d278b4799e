"""`farm demo`: a farm at work on real files, on a machine where nothing has been set up."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from farm.cli.table import Table
from farm.errors import FarmError
from farm.units import format_duration, format_size

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from farm.cli.opening import OpenDatabase
    from farm.demo.burst import Burst
    from farm.demo.run import DemoRun, Found
    from farm.home import StateDir
    from farm.store.session import Session

POLL_S = 0.25
LINE_EVERY_S = 2.0
PREDECESSOR_S_MAX = 40.0
FILES_MAX = 1_000_000

EPILOG = """\
One job for every Python source file of the standard library and of site-packages: each is parsed, its syntax nodes, functions and
lines are counted, and it is hashed and compressed. Stop it, or kill it, and run it again: it goes on where it was.

examples:
  farm demo
  farm demo --files 500
"""


class Interrupts:
    """Ctrl-C and SIGTERM from now on: they raise KeyboardInterrupt, and are remembered, since one that comes in the middle of a clean-up of
    Python's own is lost."""

    def __init__(self) -> None:
        self._came = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)

    def look(self) -> None:
        """Raise KeyboardInterrupt if one has come."""
        if self._came:
            raise KeyboardInterrupt

    def _note(self, *_: object) -> NoReturn:
        self._came = True
        raise KeyboardInterrupt


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `farm demo`."""
    parser.epilog = EPILOG
    parser.add_argument("--files", type=_files, metavar="N", help="survey only the first N files")
    parser.add_argument("--dsn", metavar="DSN", help="use this database instead of an embedded one")


def run(args: argparse.Namespace) -> int:
    """Enqueue a run or take one up, run a farm until it is done, and print what was found."""
    from farm.cli.opening import chosen_database, open_chosen, open_session
    from farm.cli.platform import require_linux
    from farm.filelock import FileLock
    from farm.home import StateDir, farm_home

    require_linux("farm demo")
    interrupts = Interrupts()
    state = StateDir.create(farm_home(), "demo")
    with FileLock(state.path / "demo.lock") as lock:
        if not lock.try_exclusive():
            raise FarmError("another `farm demo` is running here")
        _await_predecessor(state)
        with open_chosen(chosen_database(args)) as database, open_session(database) as session:
            return _run(args, state, database, session, interrupts)


def _run(args: argparse.Namespace, state: StateDir, database: OpenDatabase, session: Session, interrupts: Interrupts) -> int:
    import farm
    from farm.demo.burst import Burst
    from farm.demo.run import DemoMemory
    from farm.demo.sources import find_sources

    memory = DemoMemory(state.path)
    print(f"database: {database.label}", flush=True)
    with farm.connect(database.dsn, pooled=database.pooled) as client:
        run = memory.begin(session, client, find_sources()[: args.files])
    done = run.finished(session)
    if run.resumed:
        print(f"going on with {run.queue}: {done:,} of {run.jobs:,} files are done, {run.jobs - done:,} are left", flush=True)
    else:
        print(f"enqueued {run.jobs:,} jobs in the queue {run.queue}, one for each Python file", flush=True)
    since = session.fetch("read_clock")[0][0]
    try:
        with Burst(directory=state.path, queue=run.queue, dsn=None if database.embedded else database.dsn) as burst:
            _watch(burst, run, session, interrupts)
    except KeyboardInterrupt:
        print("\nstopped; run `farm demo` again to go on", file=sys.stderr)
        return 130
    counts = run.counts(session)
    if sum(counts.get(state_name, 0) for state_name in ("succeeded", "failed", "cancelled")) < run.jobs:
        raise FarmError(f"the farm left before all was done: {counts}; see {state.path / 'demo.log'}, and run `farm demo` again")
    memory.forget()
    _show(run, session, since, counts, state.path)
    return 0


def _watch(burst: Burst, run: DemoRun, session: Session, interrupts: Interrupts) -> None:
    """Show how far it is until the farm has left."""
    from farm.errors import StoreUnavailable

    with _progress(run.jobs) as show:
        left = False
        while not left:
            interrupts.look()
            left = burst.wait(POLL_S)
            try:
                show(run.finished(session))
            except StoreUnavailable:
                continue  # The farm waits for the database too.


@contextmanager
def _progress(jobs: int) -> Iterator[Callable[[int], None]]:
    """Give a function that shows how many are done: a bar on a terminal, now and then a line elsewhere."""
    if not sys.stdout.isatty():
        yield _Lines(jobs)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns: tuple[Any, ...] = (TextColumn("surveying"), BarColumn(), MofNCompleteColumn(), TextColumn("files"), TimeElapsedColumn())
    with Progress(*columns) as progress:
        task = progress.add_task("surveying", total=jobs)
        yield lambda done: progress.update(task, completed=done)


class _Lines:
    """Progress for a log: a line every two seconds, and one at the end."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._shown_at = time.monotonic()
        self._shown = -1

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        if done != self._shown and (now - self._shown_at >= LINE_EVERY_S or done == self._jobs):
            print(f"  {done:,} of {self._jobs:,} files", flush=True)
            self._shown_at, self._shown = now, done


def _show(run: DemoRun, session: Session, since: datetime, counts: dict[str, int], directory: Path) -> None:
    """Print what was found, how fast it went, and how to look further."""
    found = run.found(session, since)
    table = Table("what was found", "", right=("",))
    for name, value in _findings(found, counts):
        table.add(name, value)
    print()
    table.show()
    largest = run.largest(session)
    if largest:
        most = Table(
            "most syntax", "lines", "nodes", "functions", "job", right=("lines", "nodes", "functions", "job"), wide=("most syntax",)
        )
        for file in largest:
            most.add(file.path, f"{file.lines:,}", f"{file.nodes:,}", f"{file.functions:,}", file.job_id)
        print()
        most.show()
    print()
    print(_speed(found))
    farm = _command()
    print(f"""
to look further:
  {farm} jobs --queue {run.queue} --limit 5
  {farm} job {largest[0].job_id if largest else run.first_id}
  {farm} status
  less {directory / "demo.log"}""")


def _findings(found: Found, counts: dict[str, int]) -> list[tuple[str, str]]:
    share = f" ({100 * found.compressed_bytes / found.size_bytes:.0f} %)" if found.size_bytes else ""
    findings = [
        ("Python files", f"{found.files:,}"),
        ("lines", f"{found.lines:,}"),
        ("syntax nodes", f"{found.nodes:,}"),
        ("functions", f"{found.functions:,}"),
        ("classes", f"{found.classes:,}"),
        ("size", format_size(found.size_bytes)),
        ("size when compressed", format_size(found.compressed_bytes) + share),
        ("files with the content of another", f"{found.duplicates:,}"),
        ("files that do not parse", f"{found.unparsed:,}"),
    ]
    failed = sum(count for state, count in counts.items() if state != "succeeded")
    return [*findings, ("jobs that failed", f"{failed:,}")] if failed else findings


def _speed(found: Found) -> str:
    if not found.elapsed_s or found.median_s is None or found.longest_s is None:
        return "nothing was left to do"
    rate = found.finished / found.elapsed_s
    jobs = f"a job took {format_duration(found.median_s)} (median), {format_duration(found.longest_s)} at most"
    return f"{found.finished:,} files in {format_duration(found.elapsed_s)}: {rate:,.0f} files/s; {jobs}"


def _await_predecessor(state: StateDir) -> None:
    """Wait until the farm of a demo that was killed has left: it drains by itself."""
    from farm.errors import StateDirBusy

    deadline = time.monotonic() + PREDECESSOR_S_MAX
    said = False
    while True:
        try:
            state.lock_supervisor()
        except StateDirBusy:
            if time.monotonic() > deadline:
                raise
            if not said:
                print("waiting for the farm of an earlier demo to leave", flush=True)
                said = True
            time.sleep(POLL_S)
        else:
            state.close()
            return


def _files(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= FILES_MAX:
        raise argparse.ArgumentTypeError(f"expected 1 to {FILES_MAX}, got {text!r}")
    return int(text)


def _command() -> str:
    """Return how the user can call farm: by its name if the shell finds it, else as they just did."""
    called = sys.argv[0]
    if shutil.which("farm") is None and os.path.basename(called) == "farm":
        return os.path.relpath(called) if len(os.path.relpath(called)) < len(called) else called
    return "farm"
