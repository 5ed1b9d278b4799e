"""`farm logs ID`: what a job has printed, of its last attempt or of another one; and what it prints now, if it runs on this machine."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from farm.cli.job import WORDS, attempt_number, job_id
from farm.cli.plain import as_json, many_lines, one_line
from farm.model import State
from farm.units import counted

if TYPE_CHECKING:
    from farm.shm.running import RunningJob
    from farm.store.reads import ReadStore

LOOK_S = 0.1
"""Between two looks at what is printed; it takes no statement."""
ASK_S = 0.5
"""Between two questions to the database."""
ELSEWHERE_S = 3.0
"""A job that the database says runs, and that is not found here for so long, runs elsewhere: heartbeats come once a second."""
FINAL = (State.SUCCEEDED, State.FAILED, State.CANCELLED)

EPILOG = """\
Text from a job is shown without what could move the cursor or set colours; --json gives all of it.
Exit code 1 if there is no such job, or no such attempt.

examples:
  farm logs 17
  farm logs 17 --attempt 1
  farm logs 17 --follow
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `farm logs`."""
    from farm.cli.opening import add_database_arguments

    parser.epilog = EPILOG
    parser.add_argument("id", metavar="ID", type=job_id, help="the number that `farm enqueue` and `farm jobs` print")
    parser.add_argument("--attempt", metavar="N", type=attempt_number, help="of this attempt; without it, of the last one")
    parser.add_argument(
        "--follow", "-f", action="store_true", help="go on until the job has ended, with what it prints meanwhile on this machine"
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object, with every attempt and its log under `attempts`")
    add_database_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print the log."""
    from farm.cli.opening import open_database, open_session
    from farm.errors import FarmError
    from farm.store.reads import ReadStore

    if args.follow and (args.json or args.attempt is not None):
        raise FarmError("expected either --follow, which prints attempt after attempt, or --attempt or --json")
    with open_database(args) as database, open_session(database) as session:
        reads = ReadStore(session)
        job = reads.job(args.id)
        if job is None:
            print(f"farm: there is no job {args.id} in {database.label}", file=sys.stderr)
            return 1
        if args.follow:
            Follower(reads, args.id).run(job)
            return 0
    if args.json:
        names = ("attempt", "kind", "started_at", "finished_at", "host", "log")
        attempts = [{name: attempt[name] for name in names} for attempt in job["attempts"]]
        print(as_json({"id": job["id"], "state": job["state"], "attempts": attempts}))
        return 0
    return _show(job, args.attempt)


def _show(job: dict[str, Any], number: int | None) -> int:
    attempts = [
        attempt for attempt in job["attempts"] if attempt["attempt"] is not None and (number is None or attempt["attempt"] == number)
    ]
    if not attempts:
        what = "has not been started" if number is None else f"has no attempt {number}"
        print(f"farm: job {job['id']} {what}", file=sys.stderr)
        return 0 if number is None else 1
    shown = attempts[-1]
    if shown["log"] is None:
        print(f"farm: {_why_nothing(job['id'], shown)}", file=sys.stderr)
    for line in many_lines(shown["log"] or ""):
        print(line)
    others = sorted({attempt["attempt"] for attempt in job["attempts"] if attempt["log"] is not None} - {shown["attempt"]})
    if others and number is None and sys.stderr.isatty():
        print(f"farm: attempt {shown['attempt']}; --attempt shows {_listed(others)}", file=sys.stderr)
    return 0


def _why_nothing(number: int, attempt: dict[str, Any]) -> str:
    if attempt["finished_at"] is None:
        return f"job {number} runs: --follow shows what it prints, on the machine that it runs on"
    return f"attempt {attempt['attempt']} of job {number} has no log: it has printed nothing, or its lane keeps none (lanes.NAME.logs)"


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))


class Follower:
    """Prints what a job prints until it has ended: from shared memory while it runs on this machine, what is left from the database."""

    def __init__(self, reads: ReadStore, number: int) -> None:
        self._reads = reads
        self._id = number
        self._told: set[tuple[Any, Any]] = set()
        """Attempts whose log has been shown to its end, each by its number and when it ended."""
        self._shown: dict[int, int] = {}
        """How many characters of the log of an attempt that has not been told yet were shown."""
        self._said = ""

    def run(self, job: dict[str, Any] | None) -> None:
        """Go on until the job has ended, or is gone."""
        lost_at = time.monotonic() + ELSEWHERE_S
        while job is not None:
            self._tell_ended(job)
            if job["state"] in FINAL:
                return
            running = self._find() if job["state"] == State.RUNNING or job["state"] == State.CLAIMED else None
            if running is not None:
                try:
                    self._follow(running)
                finally:
                    running.close()
                lost_at = time.monotonic() + ELSEWHERE_S
            elif job["state"] != State.RUNNING:
                lost_at = time.monotonic() + ELSEWHERE_S
                self._say(f"job {self._id} is {job['state']}")
            elif time.monotonic() > lost_at:
                self._say(f"job {self._id} runs on {one_line(job['host'])}: its log is shown here when the attempt has ended")
            time.sleep(ASK_S)
            job = self._reads.job(self._id)

    def _tell_ended(self, job: dict[str, Any]) -> None:
        """Print what is left of the logs of attempts that have ended."""
        for attempt in job["attempts"]:
            key = (attempt["attempt"], attempt["finished_at"])
            if attempt["finished_at"] is None or attempt["attempt"] is None or key in self._told:
                continue
            self._told.add(key)
            shown = self._shown.pop(attempt["attempt"], 0)
            for line in many_lines((attempt["log"] or "")[shown:]):
                print(line)
            sys.stdout.flush()
            self._say(f"attempt {attempt['attempt']}: {WORDS.get(attempt['kind']) or one_line(attempt['kind'])}")

    def _find(self) -> RunningJob | None:
        from farm.home import farm_home
        from farm.shm.running import find_here

        host_id = self._reads.host_that_runs(self._id)
        return None if host_id is None else find_here(farm_home(), host_id=host_id, job_id=self._id)

    def _follow(self, running: RunningJob) -> None:
        """Print what comes until the attempt has ended."""
        if not running.keeps_log:
            self._say("its lane keeps no logs (lanes.NAME.logs), or there is no shared memory for them")
        self._say(f"attempt {running.attempt} runs")
        printed = _Printed()
        runs = True
        while runs:
            # In this order: what was printed before the end is read after it was seen.
            runs = running.runs and not running.is_gone
            for line in printed.lines_of(running, at_end=not runs):
                print(line)
            sys.stdout.flush()
            if runs:
                time.sleep(LOOK_S)
        # Past the limit the stored log has nothing that was not shown.
        self._shown[running.attempt] = printed.characters if printed.bytes <= running.limit_bytes else sys.maxsize

    def _say(self, text: str) -> None:
        """Say what goes on, once, where it is not taken for what the job prints."""
        if text != self._said:
            self._said = text
            print(f"farm: {text}", file=sys.stderr, flush=True)


class _Printed:
    """What was shown of a log so far: whole lines."""

    def __init__(self) -> None:
        self.bytes = 0
        self._rest = b""
        self.characters = 0
        """As many as that is of the log that is stored, if the limit does not cut it before."""

    def lines_of(self, running: RunningJob, *, at_end: bool) -> Iterator[str]:
        tail = running.read(self.bytes)
        if tail is not None:
            if tail.start > self.bytes:
                yield from self._lines(self._rest)
                self._rest = b""
                self.characters += tail.start - self.bytes
                yield f"[... {counted(tail.start - self.bytes, 'byte')} came too fast to be shown]"
            self.bytes = tail.end
            whole, newline, self._rest = (self._rest + tail.text).rpartition(b"\n")
            yield from self._lines(whole + newline)
        if at_end:
            yield from self._lines(self._rest)
            self._rest = b""

    def _lines(self, data: bytes) -> Iterator[str]:
        text = data.decode("utf-8", "replace")
        self.characters += len(text)
        yield from many_lines(text)
