"""Named places at which a process of farm can be made to fail, so that tests do not wait for luck: `writer.after_commit:kill9@3`.

The variable FARM_FAILPOINT names some, separated by commas, each as `name:action@n`: act at the n-th time that this process comes by
(the first, without @n), or, with `@n+`, at that one and every later one. Every process counts for itself, successors too. Actions:
kill9 (SIGKILL to itself), stop (SIGSTOP to itself), exit (leave at once with code 1), sleep500ms (any duration), error (the database
is said to be away).

FARM_FAILPOINT_LOG names a file in which each one leaves a line before it acts. One that stands in it already, and was to act once, does
not act again: so several can be tried in one farm, whose processes come back after every kill.

Without the variable nothing of this is there: `passing` does nothing, and subworkers run the code that they always run.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from farm.errors import FarmError, StoreUnavailable

VARIABLE: Final = "FARM_FAILPOINT"
LOG_VARIABLE: Final = "FARM_FAILPOINT_LOG"

POINTS: Final[Mapping[str, str]] = {
    "claimer.before_claim": "the claim is made up, not sent",
    "claimer.after_claim": "the claim's answer is there, its jobs are not read",
    "claimer.before_deliver": "the jobs are read, the main thread does not know of them",
    "supervisor.before_give": "jobs are packed for a ring, and not in it",
    "supervisor.after_give": "jobs are in a ring",
    "supervisor.after_recall": "a recall is set, not answered",
    "supervisor.after_answer": "a recall is answered, not lifted",
    "supervisor.acks_taken": "acks are out of their ring, their jobs not forgotten",
    "supervisor.before_bury": "a dead subworker's ring is consumed, its jobs are not judged",
    "supervisor.desk_pushed": "outcomes stand in the supervisor's own ring",
    "supervisor.before_leave": "all is committed, the host row is not retired",
    "zygote.before_fork": "a fork is ordered, not made",
    "subworker.before_birth": "forked, its pid is not told",
    "subworker.before_mark": "a job is about to be marked",
    "subworker.after_mark": "a job is marked, the recall not looked at",
    "subworker.after_start": "a job is started, none of its code has run",
    "subworker.before_publish": "a job has ended, nothing is in the ring",
    "subworker.torn_publish": "half of its outcome's bytes are in the ring, and not shown",
    "subworker.after_publish": "its outcome is shown, its slot is not free",
    "subworker.before_answer": "a recall is seen, not answered",
    "subworker.after_answer": "a recall is answered",
    "writer.after_read": "outcomes are read, no transaction is begun",
    "writer.before_copy": "the leases are locked, nothing is written",
    "writer.before_commit": "all is written, COMMIT is not sent",
    "writer.after_commit": "committed, nothing is acknowledged",
    "writer.after_ack": "acknowledged, the tails are not moved",
    "writer.after_tail": "the tails are moved",
    "heartbeat.before_beat": "the running set is gathered, not sent",
    "heartbeat.after_beat": "the beat is stored, the gate has not moved",
    "upkeep.before_promote": "jobs may be due",
    "upkeep.after_promote": "due jobs are moved, nobody is told",
    "upkeep.before_retire": "a host has missed its lease time, its row is not retired",
    "upkeep.before_reap": "a retired host has leases",
    "upkeep.after_reap": "leases are reaped, nobody is told",
    "retention.before_copy": "jobs of an old partition that are to stay may be left to copy",
    "retention.after_copy": "some of them are copied",
    "retention.before_swap": "all of them are copied, the old partition stands",
    "retention.after_swap": "the new partition stands in its place, the old tables are there",
    "retention.after_drop": "an old table is dropped",
    "takeover.before_drain": "an earlier run's rings are found, not read",
    "takeover.after_drain": "an earlier run's rings are committed, its host row stands",
    "takeover.after_retire": "an earlier run's host row is retired, its leases stand",
    "takeover.after_reap": "an earlier run's leases are reaped, its files stand",
}
"""Every border of the data path, and where things stand there."""

_WHEN = re.compile(r"([1-9][0-9]{0,8})(\+?)")
_ACTIONS = ("kill9", "stop", "exit", "error")


class FailpointError(FarmError):
    """FARM_FAILPOINT says something that cannot be understood."""


class Failpoint(NamedTuple):
    """One of those that were named."""

    name: str
    action: str
    sleep_s: float
    nth: int
    on: bool
    """Also act at every later passing."""

    def __str__(self) -> str:
        return f"{self.name}:{self.action}@{self.nth}{'+' if self.on else ''}"


def parse_failpoints(text: str) -> list[Failpoint]:
    """Return what the variable names. Raises FailpointError, in one line."""
    return [_parse(entry.strip()) for entry in text.split(",") if entry.strip()]


def _parse(entry: str) -> Failpoint:
    name, _, rest = entry.partition(":")
    if name not in POINTS:
        from difflib import get_close_matches

        close = get_close_matches(name, POINTS, n=1)
        raise FailpointError(f"{VARIABLE}: there is no failpoint {name!r}{f'; did you mean {close[0]!r}?' if close else ''}")
    action, at, when = rest.partition("@")
    match = _WHEN.fullmatch(when if at else "1")
    sleep_s = _sleep_s(action)
    if match is None or (action not in _ACTIONS and sleep_s is None):
        raise FailpointError(f"{VARIABLE}: {entry!r}: expected name:action@n, the action one of {', '.join(_ACTIONS)}, or sleep500ms")
    return Failpoint(name, action, sleep_s or 0.0, int(match[1]), bool(match[2]))


def _sleep_s(action: str) -> float | None:
    from farm.units import parse_duration

    try:
        return parse_duration(action.removeprefix("sleep")) if action.startswith("sleep") else None
    except ValueError:
        return None


class Failpoints:
    """Those of one process, with how often it has come by each."""

    def __init__(self, chosen: list[Failpoint], log_path: str | None) -> None:
        self._chosen = chosen
        self._log_path = log_path
        self._passed = dict.fromkeys((point.name for point in chosen), 0)

    def passing(self, name: str) -> None:
        """Act, if it is time to do so here."""
        if name not in self._passed:
            return
        self._passed[name] += 1
        passed = self._passed[name]
        for point in self._chosen:
            if point.name == name and (passed == point.nth or (point.on and passed > point.nth)):
                self._act(point)

    def _act(self, point: Failpoint) -> None:
        if self._log_path is not None and not self._note(self._log_path, point):
            return
        match point.action:
            case "kill9":
                os.kill(os.getpid(), signal.SIGKILL)
            case "stop":
                os.kill(os.getpid(), signal.SIGSTOP)
            case "exit":
                os._exit(1)
            case "error":
                raise StoreUnavailable(f"failpoint {point.name}")
            case _:
                time.sleep(point.sleep_s)

    def _note(self, path: str, point: Failpoint) -> bool:
        """Leave a line, in one write; False if it is there already and once was enough."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        try:
            if not point.on and f"{point} ".encode() in os.pread(fd, 1 << 20, 0):
                return False
            os.write(fd, f"{point} {os.getpid()} {time.monotonic():.3f}\n".encode())
            return True
        finally:
            os.close(fd)


def armed(prefix: str) -> bool:
    """Tell whether a failpoint whose name begins so is named in this process's environment."""
    return any(point.name.startswith(prefix) for point in _chosen)


def check() -> None:
    """Raise FailpointError, in one line, if the variable cannot be understood."""
    parse_failpoints(os.environ.get(VARIABLE, ""))


def _nothing(name: str) -> None:
    """Be what costs least."""


def _from_environment() -> list[Failpoint]:
    try:
        return parse_failpoints(os.environ.get(VARIABLE, ""))
    except FailpointError:
        # An import is no place to say so: check() does.
        return []


_chosen: Final = _from_environment()
passing: Final[Callable[[str], None]] = Failpoints(_chosen, os.environ.get(LOG_VARIABLE)).passing if _chosen else _nothing
"""Called at every border but those in subworkers, with its name."""
