"""Has lanes claim nothing while the host is short of memory, all but small ones, and claim again by themselves."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from farm.config.model import Host
from farm.supervisor.lanes.lane import SHORT_OF_MEMORY, Lane
from farm.supervisor.limits.pressure import CRITICAL_SHARE, Level, Meter, Pressure, Reading
from farm.supervisor.log.events import Event, event
from farm.units import format_duration, format_size

LOOK_S = 0.25
IDLE_LOOK_S = 2.0
"""How old the last look may be when an idle farm is woken by something else; it is not woken for one."""

log = logging.getLogger("farm")


class Throttle:
    """Modes: at ease; short of memory, where it looks on though nothing runs, until there is enough again. Main thread only.

    What runs goes on, and so does what was claimed before: half a second of work at the most.
    """

    def __init__(self, *, lanes: Callable[[], Sequence[Lane]], host: Host, meter: Meter) -> None:
        """lanes: says which there are; they may change."""
        self._lanes = lanes
        self._meter = meter
        self._rule = Pressure(floor_bytes=0, stalled_percent_max=0)
        self._look_at = 0.0
        self._since = 0.0
        self.reading: Reading | None = None
        """The last look; None while nothing is looked at."""
        self.heed(host)

    def heed(self, host: Host) -> None:
        """Have the limits of this configuration hold from now on."""
        self._rule.floor_bytes = host.memory_floor_bytes
        self._rule.stalled_percent_max = host.pressure_percent

    @property
    def missing(self) -> bool:
        """True when by the last look so little is left that somebody must give some back."""
        reading = self.reading
        return reading is not None and reading.available_bytes < self._rule.floor_bytes * CRITICAL_SHARE

    def owe(self, taken_bytes: int, now: float) -> None:
        """Be told what was taken from somebody for that: claims go on when there is room for it again, or after a minute."""
        self._rule.owe(taken_bytes, now)

    @property
    def level(self) -> Level:
        return self._rule.level

    @property
    def why(self) -> str:
        """Say in words how short of memory the host is, "" if it is not."""
        return self._why(self.reading) if self.level and self.reading is not None else ""

    def step(self, now: float, *, busy: bool) -> float:
        """Look, if it is time. busy: something is handed out. Returns the seconds until the next look, infinite if it can wait."""
        if now >= self._look_at:
            self._look(now)
            self._look_at = now + (LOOK_S if busy or self.level else IDLE_LOOK_S)
        elif busy:
            self._look_at = min(self._look_at, now + LOOK_S)
        return self._look_at - now if busy or self.level else float("inf")

    def _look(self, now: float) -> None:
        if not self._rule.level and not self._rule.floor_bytes and not self._rule.stalled_percent_max:
            self.reading = None
            return
        before, self.reading = self.level, self._meter.read()
        level = self._rule.step(now, self.reading)
        if level or before:
            self._hold(level)
        if level > before:
            self._since = self._since if before else now
            self._tell_begin(self.reading)
        elif before and not level:
            available = format_size(self.reading.available_bytes)
            since_s = now - self._since
            enough = event(Event.MEMORY_ENOUGH, available_bytes=self.reading.available_bytes, after_s=since_s)
            log.info("enough memory again, %s available: claims go on, after %s", available, format_duration(since_s), extra=enough)

    def _hold(self, level: Level) -> None:
        """Also those lanes that are new since the last look."""
        lanes = self._lanes()
        free = claiming_on(lanes, self._rule.floor_bytes, level)
        for lane in lanes:
            if lane.name in free:
                lane.let_go(SHORT_OF_MEMORY)
            else:
                lane.hold(SHORT_OF_MEMORY)

    def _why(self, reading: Reading) -> str:
        floor_bytes, available = self._rule.floor_bytes, format_size(reading.available_bytes)
        why = f"{available} available, and host.memory_floor is {format_size(floor_bytes)}"
        if reading.available_bytes >= floor_bytes:
            most = f"host.pressure is {self._rule.stalled_percent_max:g} %"
            why = f"processes wait for it for {reading.stalled_percent:.0f} % of the time, and {most} ({available} available)"
        return why

    def _tell_begin(self, reading: Reading) -> None:
        held = ", ".join(lane.name for lane in self._lanes() if SHORT_OF_MEMORY in lane.held_by)
        why = self._why(reading)
        short = event(Event.MEMORY_SHORT, why=why, lanes_held=held)
        log.warning("the host is short of memory: %s: nothing is claimed for %s", why, held or "no lane: all are small", extra=short)


def claiming_on(lanes: Sequence[Lane], floor_bytes: int, level: Level) -> set[str]:
    """Return the lanes that claim on: with enough memory all; while the host is short of it the smallest, as far as their subworkers may
    take half of the floor together, which is kept for them; below that none."""
    if level is not Level.SHORT:
        return set() if level else {lane.name for lane in lanes}
    left_bytes = floor_bytes * CRITICAL_SHARE
    free: set[str] = set()
    for budget_bytes, name in sorted((lane.config.subworkers * lane.config.memory_bytes, lane.name) for lane in lanes):
        left_bytes -= budget_bytes
        if left_bytes < 0:
            break
        free.add(name)
    return free
