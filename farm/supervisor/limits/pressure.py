"""How short of memory the host is: a rule without a clock of its own, and the meter that it is fed from."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

from farm.config.machine import memory_groups

EASE = 1.25
"""Who was short has enough again at so many times what was too little: else claims would begin and pause with every job."""
QUIET_S = 2.0
"""And only if it stays so for this long: a job that has just ended may have been followed by another one."""
CRITICAL_SHARE = 0.5
"""Of the floor: below it the host is very short."""
OWED_S_MAX = 60.0
"""What was taken from somebody for want of memory is waited for so long at the most, before its job may come to take it again."""
UNLIMITED_BYTES = 1 << 60


class Level(IntEnum):
    """How short of memory a host is.

    SHORT: at once when less than the floor is available, or when processes have waited for memory for longer than is allowed.
    VERY_SHORT: below half of the floor. A lower one again only after QUIET_S in which nothing was near it.
    """

    ENOUGH = 0
    SHORT = 1
    VERY_SHORT = 2


class Reading(NamedTuple):
    """One look at the host."""

    available_bytes: int
    """What could be taken without anybody being swapped out: of the machine, or what a control group of ours still allows."""
    stalled_percent: float
    """Share of the last ten seconds or so in which somebody waited for memory (`some avg10`), a mean that lags behind."""
    stalled_us: int
    """All such time since boot, which does not lag."""


class Pressure:
    """The rule. Takes one reading after the other and says how short of memory the host is."""

    def __init__(self, *, floor_bytes: int, stalled_percent_max: float) -> None:
        """0 for either: it does not count."""
        self.floor_bytes = floor_bytes
        self.stalled_percent_max = stalled_percent_max
        self.level = Level.ENOUGH
        self._quiet_since: float | None = None
        self._quiet_level = Level.ENOUGH
        """The worst that it was since then, by the easier measure."""
        self._before: tuple[float, int] | None = None
        self._owed_bytes = 0
        self._owed_until = 0.0

    def owe(self, taken_bytes: int, now: float) -> None:
        """Take in that a job that held so much was ended for want of memory: it is enough again when there is room for it, too."""
        self._owed_bytes = taken_bytes + (self._owed_bytes if now < self._owed_until else 0)
        self._owed_until = now + OWED_S_MAX

    def step(self, now: float, reading: Reading) -> Level:
        """Judge a reading. now never goes back."""
        stalled_now = self._stalled_percent(now, reading)
        # The mean says that it lasts, the share since the last look that it is not over: after the end it falls for ten seconds more.
        stalls = 0 < self.stalled_percent_max <= min(reading.stalled_percent, stalled_now)
        still_stalls = 0 < self.stalled_percent_max <= stalled_now / CRITICAL_SHARE
        worse = self._judge(reading.available_bytes, stalls)
        better = self._judge(reading.available_bytes / EASE, still_stalls)
        if self.level and now < self._owed_until:
            # Small lanes need not wait for that.
            better = max(better, Level((reading.available_bytes - self._owed_bytes) / EASE < self.floor_bytes))
        assert better >= worse, "what is too little is also not enough to be at ease"
        if better >= self.level:
            self._quiet_since = None
            self.level = max(self.level, worse)
        elif self._quiet_since is None:
            self._quiet_since, self._quiet_level = now, better
        else:
            self._quiet_level = max(self._quiet_level, better)
            if now - self._quiet_since >= QUIET_S:
                self.level, self._quiet_since = self._quiet_level, None
                self._owed_until = self._owed_until if self.level else now
        return self.level

    def _judge(self, available_bytes: float, stalls: bool) -> Level:
        if available_bytes < self.floor_bytes * CRITICAL_SHARE:
            return Level.VERY_SHORT
        return Level.SHORT if stalls or available_bytes < self.floor_bytes else Level.ENOUGH

    def _stalled_percent(self, now: float, reading: Reading) -> float:
        """Return the share of the time since the last look, the mean if there was none."""
        before, self._before = self._before, (now, reading.stalled_us)
        if before is None or now <= before[0]:
            return reading.stalled_percent
        return (reading.stalled_us - before[1]) / (now - before[0]) / 1e4


class Meter:
    """Reads what the kernel tells: three files or so, some 50 us."""

    def __init__(self, root: Path = Path("/")) -> None:
        """root: the directory that holds proc and sys, for tests."""
        groups = memory_groups(root)
        self._meminfo = root / "proc/meminfo"
        self._limited = [group for group in groups if _limit_bytes(group) < UNLIMITED_BYTES]
        # Of a group's own stalls those are a part that its own limit makes, and those of other groups none.
        places = [*(group / "memory.pressure" for group in groups), root / "proc/pressure/memory"]
        self._pressure = next((place for place in places if _stalls(place) is not None), None)

    def read(self) -> Reading:
        """Look. What cannot be read is taken for plenty of memory, and for no stalls."""
        available = min([_available_bytes(self._meminfo), *map(_left_bytes, self._limited)])
        stalled_percent, stalled_us = (_stalls(self._pressure) if self._pressure is not None else None) or (0.0, 0)
        return Reading(available, stalled_percent, stalled_us)


def _available_bytes(meminfo: Path) -> int:
    for line in _lines(meminfo):
        if line.startswith(b"MemAvailable:"):
            return int(line.split()[1]) * 1024
    return UNLIMITED_BYTES


def _limit_bytes(group: Path) -> int:
    return _number(group / "memory.max") or _number(group / "memory.limit_in_bytes") or UNLIMITED_BYTES


def _left_bytes(group: Path) -> int:
    """Return what a group may take yet. Files in its cache count against its limit, but are given up first."""
    used = _number(group / "memory.current") or _number(group / "memory.usage_in_bytes")
    stat = dict(line.split() for line in _lines(group / "memory.stat") if line.count(b" ") == 1)
    # Of version 1 the sums over all groups below begin with total_.
    cached = sum(int(stat.get(b"total_" + name, stat.get(name, 0))) for name in (b"active_file", b"inactive_file"))
    # A limit that was lowered below what is used leaves nothing, not less.
    return max(0, _limit_bytes(group) - max(0, used - cached))


def _stalls(path: Path) -> tuple[float, int] | None:
    """Return (mean of ten seconds in percent, all of it in us) of a pressure file; None if there is none, or the kernel keeps none."""
    for line in _lines(path):
        if line.startswith(b"some "):
            words = dict(word.split(b"=") for word in line.split()[1:])
            return float(words[b"avg10"]), int(words[b"total"])
    return None


def _number(path: Path) -> int:
    """Return the number in a file; 0 if it is `max`, or there is no such file."""
    (word, *_) = [*_lines(path), b"0"]
    return int(word) if word.strip().isdigit() else 0


def _lines(path: Path) -> Sequence[bytes]:
    try:
        return path.read_bytes().splitlines()
    except OSError:
        return ()
