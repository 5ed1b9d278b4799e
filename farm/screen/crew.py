"""One lane as a screen sees it: its subworkers, and what they came to, put together from shared memory and what the farm tells."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from farm.screen.attached import Attached, attach
from farm.screen.model import SubworkerView
from farm.screen.processes import NO_USAGE, Usage
from farm.screen.rates import Minute, Rate
from farm.shm.tallies import Figures
from farm.supervisor.lanes.occupancy import Occupancy
from farm.supervisor.views.columns import COLUMNS

FIGURES_S, FIGURES_MANY_S, MANY = 1.0, 2.0, 40
"""Between two looks at what jobs came to, and in a lane of so many subworkers; how many there were is looked at each time."""
STOLEN_S = 60.0
TURN_LOOKS, TURN_MAX = 4, 64
"""Of a lane's subworkers that are not seen each comes round after so many looks, and of very many only so many in one look."""


@dataclass(slots=True)
class Member:
    """One subworker: what the farm tells of it, and its file as long as it is there."""

    row: list[Any]
    """What the farm has told last, and the same by COLUMNS."""
    told: dict[str, Any]
    attached: Attached
    post: str
    usage: Usage = NO_USAGE
    view: SubworkerView | None = None
    """As it was shown last."""
    has_changed: bool = True
    """Since then."""
    looked_at: float = 0.0
    """In its turn; CLOCK_MONOTONIC, in seconds."""


class LaneWatch:
    """A lane across reloads, and across the lives of its subworkers: whatever goes, nothing is counted twice or taken away again."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.told: Mapping[str, Any] = {}
        self.members: dict[str, Member] = {}
        self.serving = self.leaving = self.uncommitted = 0
        """Subworkers that take jobs; those that end what they run and take no more: each goes, or is replaced, after that. And jobs
        that have ended and are not committed."""
        self.rate, self.minute = Rate(), Minute()
        self.ended = 0
        """Jobs that have ended between the last look and the one before."""
        self.news: Figures = 0
        """What came of jobs since the last look at that; of the whole lane."""
        self._occupancy = Occupancy()
        self._stolen: deque[tuple[float, int]] = deque()
        self._ended_by_farm: dict[str, int] | None = None
        self._figures_at = float("-inf")
        self._next = 0
        self._ended = 0
        self._left: Figures = 0

    def tell(self, told: Mapping[str, Any], place: Path, now: float, *, is_new: bool) -> None:
        """Take in what the farm tells of the lane. is_new: nobody has looked before, and what was is not known to be recent."""
        self.told = told
        rows = {row[0]: row for row in told["crew"]}
        for name in self.members.keys() - rows.keys():
            self._part_with(self.members.pop(name))
        for name, row in rows.items():
            member = self.members.get(name)
            if member is not None:
                if member.row != row:
                    member.row, member.told, member.has_changed = row, _by_columns(row), True
                    member.post = member.told["post"]
            elif (attached := attach(place / name)) is not None:
                columns = _by_columns(row)
                self.members[name] = Member(row, columns, attached, columns["post"])
                attached.look(now)
                if is_new:
                    attached.count()
                    attached.take()
        phases = Counter(member.told["phase"] for member in self.members.values())
        self.serving, self.leaving = phases["serving"], phases["leaving"]
        self.uncommitted = sum(member.told["uncommitted"] for member in self.members.values())
        self._note_ended_by_farm(told.get("ended_by_us", {}), is_new=is_new)
        self._stolen.append((now, told["stolen"]))
        while len(self._stolen) > 1 and self._stolen[1][0] <= now - STOLEN_S:
            self._stolen.popleft()

    def look(self, now: float, now_ns: int, seen: Collection[str] | None = None) -> Sequence[Member]:
        """Look at the figures in shared memory; now_ns is CLOCK_MONOTONIC. Returns those that were looked at.

        seen: the posts that are looked at each time, the others in turn; None: all of them.
        """
        looked = self._chosen(seen, now)
        ended, self._ended = self._ended, 0
        for member in looked:
            if member.attached.look(now):
                ended += member.attached.count()
                member.has_changed = True
        self.ended = ended
        self.rate.note(now, ended)
        self.news = 0
        if now >= self._figures_at:
            self._figures_at = now + (FIGURES_S if len(self.members) < MANY else FIGURES_MANY_S)
            times = {
                name: time
                for name, member in self.members.items()
                if member.told["phase"] == "serving" and (time := member.attached.slot_time(now_ns)) is not None
            }
            self._occupancy.note(now_ns, times)
            self.news, self._left = self._left + sum(member.attached.take_news() for member in self.members.values()), 0
            self.minute.note(now, self.news)
        return looked

    def _chosen(self, seen: Collection[str] | None, now: float) -> Sequence[Member]:
        members = list(self.members.values())
        if seen is None:
            return members
        turn = min(-(-len(members) // TURN_LOOKS), TURN_MAX)
        first, self._next = self._next, (self._next + turn) % max(1, len(members))
        looked = [*members[first : first + turn], *members[: max(0, first + turn - len(members))]]
        for member in looked:
            member.looked_at = now
        looked += [member for member in members if member.post in seen and member.looked_at != now]
        return looked

    @property
    def running(self) -> int:
        return sum(member.attached.running for member in self.members.values())

    def started_before(self, moment_ns: int) -> int:
        """Count the jobs that run and have started before that moment (CLOCK_MONOTONIC)."""
        return sum(member.attached.started_before(moment_ns) for member in self.members.values())

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

    def _note_ended_by_farm(self, ended: Mapping[str, int], *, is_new: bool) -> None:
        """Take in what the farm itself has ended: the jobs of those that were killed or have died."""
        before, self._ended_by_farm = self._ended_by_farm, dict(ended)
        if before is None or is_new:
            return
        for kind, count in ended.items():
            news = max(0, count - before.get(kind, 0))
            self._ended += news
            self._left += news << 64 * int(kind)


def _by_columns(row: list[Any]) -> dict[str, Any]:
    return dict(zip(COLUMNS, row, strict=False))
