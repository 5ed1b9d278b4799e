"""`farm enqueue --file`: a file of jobs, one JSON object a line, filed in one transaction while it is read."""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from itertools import chain
from typing import Any, BinaryIO

import orjson

from farm.errors import InvalidJob
from farm.model import ARGS_BYTES_MAX
from farm.spelling import did_you_mean
from farm.store.newjobs import DELAY_S_MAX, TIMEOUT_S_MAX, TIMEOUT_S_MIN, validate
from farm.units import format_size, parse_duration, parse_expires, parse_time

KEYS = (
    "task",
    "args",
    "queue",
    "runner",
    "priority",
    "delay",
    "run_at",
    "max_attempts",
    "timeout",
    "memory",
    "retry",
    "expires",
    "traceparent",
)
LINE_BYTES_MAX = 8 * ARGS_BYTES_MAX
"""What the largest arguments can take when every letter of theirs is escaped, and then some."""
TOLD_EVERY = 1000
"""Lines between two words to the progress bar."""
_DURATIONS = {"delay": ("delay_s", 0.0, DELAY_S_MAX), "timeout": ("timeout_s", TIMEOUT_S_MIN, TIMEOUT_S_MAX)}
_CONVERTED = frozenset({"delay", "timeout", "run_at", "expires"})
_WAYS = (frozenset({"delay_s", "run_at"}), frozenset({"expires_s", "expires_at"}))
"""Options that say the same in two ways."""
_LONG_NUMBER = re.compile(rb"[0-9]{19}")
_BOM = b"\xef\xbb\xbf"


Enqueue = Callable[[Iterator[dict[str, Any]], "JobFile"], tuple[list[range], float]]
"""Files jobs that are read from a file; returns their ids and how many seconds it took."""


class JobFile:
    """The jobs of an open file, as the client takes them. `where` begins a message about the line that was read last."""

    def __init__(self, file: BinaryIO, name: str, defaults: Mapping[str, Any]) -> None:
        self._file = file
        self._name = name
        self._defaults = dict(defaults)
        self._line = 0
        self.bytes_read = 0

    def where(self, _index: int = 0) -> str:
        """Return `jobs.jsonl:17: `. The client checks each job before it asks for the next one."""
        return f"{self._name}:{self._line}: "

    def jobs(self) -> Iterator[dict[str, Any]]:
        """Read job by job, a line at a time. Raises InvalidJob naming the line."""
        defaults = self._defaults
        for line in self._lines():
            said = self._parse(line)
            if not said.keys().isdisjoint(_CONVERTED):
                said = self._convert(said)
            yield {**defaults, **said} if defaults else said

    def _lines(self) -> Iterator[bytes]:
        """Give every line that is not blank."""
        while True:
            try:
                line = self._file.readline(LINE_BYTES_MAX + 1)
            except OSError as error:
                raise InvalidJob(f"{self._name}: cannot be read on after line {self._line}: {error.strerror}") from None
            if not line:
                return
            self._line += 1
            self.bytes_read += len(line)
            if len(line) > LINE_BYTES_MAX:
                raise InvalidJob(f"{self.where()}expected lines of at most {format_size(LINE_BYTES_MAX)}, got a longer one")
            if self._line == 1:
                line = line.removeprefix(_BOM)
            if line := line.strip():
                yield line

    def _parse(self, line: bytes) -> dict[str, Any]:
        try:
            # orjson makes a float of an integer that is too long; the other parser keeps it, so that it can be refused.
            said = orjson.loads(line) if _LONG_NUMBER.search(line) is None else json.loads(line)
        except (ValueError, RecursionError) as error:
            raise self._not_json(line, error) from None
        if type(said) is not dict:
            raise InvalidJob(f'{self.where()}expected an object such as {{"task": "module:function"}}, got {_shown(line)}')
        for key in said.keys() - KEYS:
            hint = did_you_mean(key, KEYS) or f", expected {', '.join(KEYS)}"
            raise InvalidJob(f"{self.where()}{ascii(key)[1:-1][:80]}: no such key{hint}")
        if None in said.values():
            said = {key: value for key, value in said.items() if value is not None}
        return said

    def _not_json(self, line: bytes, error: Exception) -> InvalidJob:
        try:
            line.decode()
        except UnicodeDecodeError as undecodable:
            return InvalidJob(f"{self.where()}not UTF-8: byte {undecodable.start + 1} of the line is 0x{line[undecodable.start]:02x}")
        return InvalidJob(f"{self.where()}not JSON: {error}, in {_shown(line)}")

    def _convert(self, said: dict[str, Any]) -> dict[str, Any]:
        """Turn durations and times, as people write them, into what the client takes."""
        job = {**said}
        for key, (option, lowest, highest) in _DURATIONS.items():
            if key in said:
                del job[key]
                job[option] = seconds = self._read(key, parse_duration, said[key])
                if not lowest <= seconds <= highest:
                    raise InvalidJob(f"{self.where()}{key}: expected {lowest:g} to {highest:.0f} seconds, got {said[key]!r}")
        if "run_at" in said:
            job["run_at"] = self._read("run_at", parse_time, str(said["run_at"]))
        if "expires" in said:
            until = self._read("expires", parse_expires, job.pop("expires"))
            job["expires_at" if isinstance(until, datetime) else "expires_s"] = until
        for ways in _WAYS if self._defaults else ():
            if not ways.isdisjoint(job):
                # A line that says when is not to be refused for saying so in the other way than the command line.
                job = {**dict.fromkeys(ways), **job}
        return job

    def _read(self, key: str, parse: Callable[[Any], Any], value: object) -> Any:
        try:
            return parse(value)
        except ValueError as error:
            raise InvalidJob(f"{self.where()}{key}: {error}") from None


def enqueue_file(path: str, defaults: Mapping[str, Any], enqueue: Enqueue) -> int:
    """File all jobs of a file (`-`: standard input) through `enqueue`, and print what was done. Raises InvalidJob.

    No database is asked for before the first job has been read and checked.
    """
    with _opened(path) as file:
        job_file = JobFile(file, _named(path), defaults)
        jobs = job_file.jobs()
        first = next(jobs, None)
        if first is None:
            raise InvalidJob(f"{_named(path)}: 0 jobs: {'every line is blank' if job_file.bytes_read else 'the file is empty'}")
        validate(first, job_file.where())
        with _progress(file) as tell:
            ids, elapsed_s = enqueue(_told(chain((first,), jobs), job_file, tell), job_file)
    count = sum(map(len, ids))
    print(f"{count} job{'' if count == 1 else 's'}, {ids[0][0]} to {ids[-1][-1]}, {count / elapsed_s:,.0f} a second")
    return 0


def _told(jobs: Iterator[dict[str, Any]], job_file: JobFile, tell: Callable[[int, int], None]) -> Iterator[dict[str, Any]]:
    """Pass on jobs, and tell now and then how many there were and how many bytes they took."""
    for count, job in enumerate(jobs, 1):
        yield job
        if count % TOLD_EVERY == 0:
            tell(count, job_file.bytes_read)


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    if path == "-":
        yield sys.stdin.buffer
        return
    try:
        file = open(path, "rb")  # noqa: SIM115 - closed below; what is raised while it is read is not about opening it
    except OSError as error:
        raise InvalidJob(f"--file {_named(path)}: {error.strerror}") from None
    except ValueError:
        raise InvalidJob(f"--file {_named(path)}: no file has such a name") from None
    with file:
        yield file


@contextmanager
def _progress(file: BinaryIO) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on a terminal's stderr, by bytes where the file's size is known; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield lambda _count, _bytes_read: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    status = os.fstat(file.fileno())
    columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[jobs]:,} jobs"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        shown = progress.add_task("", total=status.st_size if stat.S_ISREG(status.st_mode) else None, jobs=0)
        yield lambda count, bytes_read: progress.update(shown, completed=bytes_read, jobs=count)


def _named(path: str) -> str:
    """Return the file's name as it can stand in a message."""
    return "standard input" if path == "-" else ascii(path)[1:-1] if not path.isprintable() else path


def _shown(line: bytes) -> str:
    text = ascii(line[:60].decode(errors="replace"))
    return f"{text[:-1]}...'" if len(line) > 60 else text
