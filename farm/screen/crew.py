"""One lane as a screen sees it: its subworkers, and what they came to, put together from shared memory and what the farm tells."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from farm.screen.attached import Attached, attach
from farm.screen.rates import Minute, Rate
from farm.shm.tallies import Figures
from farm.supervisor.lanes.occupancy import Occupancy
from farm.supervisor.views.columns import COLUMNS

FIGURES_S = 1.0
"""Between two looks at what jobs came to; how many there were is looked at each time."""
STOLEN_S = 60.0


@dataclass(slots=True)
class Member:
    """One subworker: what the farm tells of it, and its file as long as it is there."""

    told: dict[str, Any]
    """By COLUMNS."""
    attached: Attached


class LaneWatch:
    """A lane across reloads, and across the lives of its subworkers: whatever goes, nothing is counted twice or taken away again."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.told: Mapping[str, Any] = {}
        self.members: dict[str, Member] = {}
        self.rate, self.minute = Rate(), Minute()
        self.news: Figures = 0
        """What came of jobs since the last look at that; of the whole lane."""
        self._occupancy = Occupancy()
        self._stolen: deque[tuple[float, int]] = deque()
        self._ended_by_farm: dict[str, int] | None = None
        self._figures_at = float("-inf")
        self._ended = 0
        self._left: Figures = 0

    def tell(self, told: Mapping[str, Any], place: Path, now: float, *, is_new: bool) -> None:
        """Take in what the farm tells of the lane. is_new: nobody has looked before, and what was is not known to be recent."""
        self.told = told
        rows = {row[0]: dict(zip(COLUMNS, row, strict=False)) for row in told["crew"]}
        for name in self.members.keys() - rows.keys():
            self._part_with(self.members.pop(name))
        for name, row in rows.items():
            member = self.members.get(name)
            if member is not None:
                member.told = row
            elif (attached := attach(place / name)) is not None:
                self.members[name] = Member(row, attached)
                if is_new:
                    attached.count()
                    attached.take()
        self._note_ended_by_farm(told.get("ended_by_us", {}))
        self._stolen.append((now, told["stolen"]))
        while len(self._stolen) > 1 and self._stolen[1][0] <= now - STOLEN_S:
            self._stolen.popleft()

    def look(self, now: float, now_ns: int) -> int:
        """Look at the figures in shared memory; now_ns is CLOCK_MONOTONIC. Returns how many jobs have ended since the last look."""
        members = self.members.values()
        ended, self._ended = self._ended + sum(member.attached.count() for member in members), 0
        self.rate.note(now, ended)
        self.news = 0
        if now >= self._figures_at:
            self._figures_at = now + FIGURES_S
            self.news, self._left = self._left + sum(member.attached.take() for member in members), 0
            self.minute.note(now, self.news)
        times = {
            name: time
            for name, member in self.members.items()
            if member.told["phase"] == "serving" and (time := member.attached.slot_time(now_ns)) is not None
        }
        self._occupancy.note(now_ns, times)
        return ended

    @property
    def serving(self) -> Sequence[Member]:
        """Those that take jobs."""
        return [member for member in self.members.values() if member.told["phase"] == "serving"]

    @property
    def leaving(self) -> int:
        """Those that end what they run and take no more; each goes, or is replaced, after that."""
        return sum(member.told["phase"] == "leaving" for member in self.members.values())

    @property
    def running(self) -> int:
        return sum(member.attached.running() for member in self.members.values())

    def running_longer(self, seconds: float) -> int:
        """Count the jobs that have run for longer than that."""
        before_ns = time.monotonic_ns() - int(seconds * 1e9)
        return sum(member.attached.started_before(before_ns) for member in self.members.values())

    @property
    def capacity(self) -> int:
        return int(self.told["subworkers"]) * int(self.told["concurrency"])

    @property
    def occupancy(self) -> float | None:
        """Share of the time of its slots that jobs took over the last ten seconds."""
        percent = self._occupancy.percent(10)
        return None if percent is None else percent / 100

    @property
    def stolen(self) -> int:
        """Jobs that came from other lanes within the last minute, less those that went there."""
        return self._stolen[-1][1] - self._stolen[0][1] if self._stolen else 0

    def close(self) -> None:
        """Let go of all files."""
        for member in self.members.values():
            member.attached.close()
        self.members.clear()

    def _part_with(self, member: Member) -> None:
        """Take in what one that is gone has left, and let its memory go."""
        self._ended += member.attached.count()
        self._left += member.attached.take()
        member.attached.close()

    def _note_ended_by_farm(self, ended: Mapping[str, int]) -> None:
        """Take in what the farm itself has ended: the jobs of those that were killed or have died."""
        before, self._ended_by_farm = self._ended_by_farm, dict(ended)
        if before is None:
            return
        for kind, count in ended.items():
            news = max(0, count - before.get(kind, 0))
            self._ended += news
            self._left += news << 64 * int(kind)
