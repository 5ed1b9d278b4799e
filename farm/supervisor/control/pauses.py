"""What is paused here: lanes that start nothing, queues of which nothing is claimed. It outlives the farm. Main thread only."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import orjson

from farm.errors import FarmError
from farm.model import NAME_PATTERN
from farm.spelling import did_you_mean
from farm.supervisor.crew.crew import Crew
from farm.supervisor.lanes.lane import ANY_QUEUE, LEAVING, PAUSED, Lane
from farm.units import counted

FILE_NAME = "paused.json"
NAMES_MAX = 1000
"""Queues that may be paused at once: each claim compares."""

log = logging.getLogger("farm")


class Claims(Protocol):
    """What is asked of the claimer."""

    def pause_queues(self, queues: frozenset[str]) -> None: ...


class HandsOver(Protocol):
    """What is asked of the handover: it takes back what has not started."""

    def pause_queues(self, queues: frozenset[str]) -> None: ...
    def step(self, now: float) -> float: ...


@dataclass(frozen=True, slots=True)
class Paused:
    """What is paused, as it is kept."""

    lanes: frozenset[str] = frozenset()
    queues: frozenset[str] = frozenset()
    every_lane: bool = False
    """Those as well that a configuration has later."""


class Pauses:
    """Made before the farm claims; `restore` brings back what was paused when its predecessor ended, however that was."""

    def __init__(self, directory: Path, *, crew: Crew, handover: HandsOver, claimer: Claims, wake: Callable[[], None]) -> None:
        """wake: have lanes look for work again."""
        self._directory = directory
        self._crew = crew
        self._handover = handover
        self._claimer = claimer
        self._wake = wake
        self.paused = Paused()
        """Replaced as a whole, so that other threads may read it."""

    def restore(self) -> None:
        """Pause what the file of an earlier run says, and tell it in the log. A file that cannot be read pauses nothing."""
        try:
            found = _read(self._directory / FILE_NAME)
        except (OSError, ValueError) as error:
            log.error("%s cannot be read (%s): nothing is paused", self._directory / FILE_NAME, error)
            return
        self.paused = self._without_the_gone(found)
        self._apply()
        if told := self.told():
            log.warning("paused since before this start: %s; `farm resume` lets them go on", told)

    def lanes_changed(self) -> None:
        """Look again which lanes there are: those of a new configuration are paused if their names are, and names that are gone go."""
        kept = self._without_the_gone(self.paused)
        if kept != self.paused:
            try:
                self._keep(kept)
            except FarmError as error:
                # The next start will find the name, and forget it then.
                log.warning("%s", error)
        self._apply()

    def pause(self, lanes: Collection[str], queues: Collection[str], *, every_lane: bool = False) -> list[str]:
        """Pause lanes and queues; returns what is so now, in words. Raises FarmError, and then nothing has changed."""
        self._check(lanes, queues)
        before = self.paused
        now = Paused(before.lanes | set(lanes), before.queues | set(queues), before.every_lane or every_lane)
        if len(now.queues) > NAMES_MAX:
            raise FarmError(f"{len(now.queues):,} queues would be paused; at most {NAMES_MAX:,} can be")
        self._keep(now)
        self._apply()
        said = [self._told_of_lane(lane, before) for lane in self._crew.lanes if every_lane or lane.name in lanes]
        said += [self._told_of_queue(queue, before) for queue in sorted(set(queues))]
        return said

    def resume(self, lanes: Collection[str], queues: Collection[str]) -> list[str]:
        """Let lanes and queues go on; all of them if none is named. Returns what was done, in words. Raises FarmError."""
        # What was paused may be named though the configuration has no such lane any more.
        self._check([name for name in lanes if name not in self.paused.lanes], queues)
        before = self.paused
        if not lanes and not queues:
            now = Paused()
        else:
            held = frozenset(lane.name for lane in self._crew.lanes) if before.every_lane and lanes else before.lanes
            now = Paused(held - set(lanes), before.queues - set(queues), before.every_lane and not lanes)
        self._keep(now)
        self._apply()
        if not lanes and not queues:
            told = _told(before)
            return [f"resumed: {told}" if told else "nothing was paused"]
        said = [
            f"lane {name} {'goes on' if before.every_lane or name in before.lanes else 'was not paused'}" for name in sorted(set(lanes))
        ]
        said += [f"queue {name} {'goes on' if name in before.queues else 'was not paused'}" for name in sorted(set(queues))]
        return said

    def as_data(self) -> dict[str, Any]:
        """Return what is paused, as it is kept; from any thread."""
        return _as_data(self.paused)

    def told(self) -> str:
        """Say what is paused; "" if nothing is."""
        return _told(self.paused)

    def _apply(self) -> None:
        paused = self.paused
        for lane in self._crew.lanes:
            if paused.every_lane or lane.name in paused.lanes:
                lane.hold(PAUSED)
            else:
                lane.let_go(PAUSED)
        # Before anything is given back: it must not be claimed again.
        self._claimer.pause_queues(paused.queues)
        self._handover.pause_queues(paused.queues)
        # At once: whoever is told that it is paused may rely on it that nothing more of it starts.
        self._handover.step(time.monotonic())
        self._wake()

    def _keep(self, paused: Paused) -> None:
        """Write it down first: what could not be kept is not done, and says so. Raises FarmError."""
        try:
            _write(self._directory, paused)
        except OSError as error:
            raise FarmError(f"cannot write {self._directory / FILE_NAME}: {error.strerror}") from error
        self.paused = paused

    def _check(self, lanes: Iterable[str], queues: Iterable[str]) -> None:
        known = self._configured()
        for name in lanes:
            if name not in known:
                # A queue of this name is what is meant more often than a misspelt lane.
                hint = f"; a queue is paused with --queue {name}" if self._is_served(name) else did_you_mean(name, known)
                raise FarmError(f"there is no lane {name!r}{hint} (lanes: {', '.join(known)})")
        for name in queues:
            if not re.fullmatch(NAME_PATTERN, name):
                raise FarmError(f"{name!r} is no queue's name")

    def _configured(self) -> list[str]:
        """Return the names of the lanes that are there to stay."""
        return [lane.name for lane in self._crew.lanes if LEAVING not in lane.held_by]

    def _is_served(self, queue: str) -> bool:
        return any(queue in lane.config.queues for lane in self._crew.lanes)

    def _without_the_gone(self, paused: Paused) -> Paused:
        known = set(self._configured())
        for name in sorted(paused.lanes - known):
            log.warning("lane %s was paused, and is not in the configuration any more: forgotten", name)
        return Paused(paused.lanes & known, paused.queues, paused.every_lane)

    def _told_of_lane(self, lane: Lane, before: Paused) -> str:
        running = sum(generation.occupied for generation in lane.generations)
        again = " already" if before.every_lane or lane.name in before.lanes else ""
        return f"lane {lane.name} is paused{again}{f'; {_still_running(running)}' if running else ''}"

    def _told_of_queue(self, queue: str, before: Paused) -> str:
        served = self._is_served(queue) or any(ANY_QUEUE in lane.config.queues for lane in self._crew.lanes)
        again = " already" if queue in before.queues else ""
        return f"queue {queue} is paused{again}{'' if served else ', though no lane here serves it'}"


def _told(paused: Paused) -> str:
    lanes = ["every lane"] if paused.every_lane else [f"lane {name}" for name in sorted(paused.lanes)]
    return ", ".join([*lanes, *(f"queue {name}" for name in sorted(paused.queues))])


def _still_running(running: int) -> str:
    return f"{counted(running, 'job')} still {'runs' if running == 1 else 'run'}"


def _as_data(paused: Paused) -> dict[str, Any]:
    return {"lanes": sorted(paused.lanes), "queues": sorted(paused.queues), "every_lane": paused.every_lane}


def _read(path: Path) -> Paused:
    """Raises OSError, or ValueError for a file that is not ours."""
    try:
        data: Any = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return Paused()
    if not isinstance(data, dict):
        raise ValueError("expected an object")
    return Paused(_names(data.get("lanes")), _names(data.get("queues")), data.get("every_lane") is True)


def _names(value: object) -> frozenset[str]:
    if not isinstance(value, list) or len(value) > NAMES_MAX or not all(isinstance(name, str) for name in value):
        raise ValueError("expected lists of names")
    return frozenset(value)


def _write(directory: Path, paused: Paused) -> None:
    """Put the file in place whole and on disk, or not at all: after a power cut, too, what was paused stays so. Raises OSError."""
    draft = directory / f".{FILE_NAME}"
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    # All of it, or OSError: on a disk that fills up a bare write() would take a part, and say so only by a number.
    with open(fd, "wb") as file:
        file.write(orjson.dumps(_as_data(paused)) + b"\n")
        file.flush()
        os.fsync(fd)
    draft.replace(directory / FILE_NAME)
    # The new name, too: a power cut could otherwise bring the old file back.
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
