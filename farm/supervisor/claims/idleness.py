"""What the lanes of this host have declared: that they sleep, and which classes wake them. Says how soon to look all the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

BUSY_S = 1.0
"""Idleness is withdrawn after this long of steady work."""
SETTLE_S_MIN = 0.001
"""The first pause of the settling; each one after it is twice as long, up to `poll`."""
SAFETY_POLL_S = 5.0
"""How often to look where everything is announced: no announcement is known to get lost."""

Classes = Sequence[int] | None
"""Those that a lane wants; None: any, including those that do not exist yet."""


class Declarations(Protocol):
    """Where it is declared."""

    def declare_idle(self, host_id: int, lane: str, classes: Classes) -> int: ...
    def withdraw_idle(self, host_id: int, lane: str) -> None: ...
    def oldest_open(self) -> int: ...


class Idleness:
    """Which lanes sleep, and whether announcements suffice for them.

    Modes: at work (some lane has declared nothing: look every `poll`); settling (transactions are still open that began before a
    declaration and may not have seen it: look at growing pauses); settled (whatever is committed from now on is announced).

    An enqueue looks for declarations after it has written its rows, so after it was given its number. The number that is taken once
    a declaration has committed is above those of all that may have missed it: when the oldest open transaction has reached it, they
    have all ended, and the look that comes next sees what they left.
    """

    def __init__(self, *, store: Declarations, poll_s: float) -> None:
        self._store = store
        self.poll_s = poll_s
        self._declared: dict[str, Classes] = {}
        self._working_since: dict[str, float] = {}
        self._settles_at: int | None = None
        self._pause_s = 0.0
        self.heard = False
        """Set by others: announcements reach us."""

    @property
    def settled(self) -> bool:
        """True when no transaction is left that may have missed a declaration."""
        return self._settles_at is None

    def rest(self, host_id: int, lane: str, classes: Classes) -> bool:
        """Note that a lane found nothing; True if that had to be declared: then look again at once."""
        self._working_since.pop(lane, None)
        if lane in self._declared and self._declared[lane] == classes:
            return False
        self._settles_at = self._store.declare_idle(host_id, lane, classes)
        self._pause_s = min(SETTLE_S_MIN, self.poll_s)
        self._declared[lane] = classes
        return True

    def work(self, host_id: int, lane: str, now: float) -> bool:
        """Note that a lane claims. After a second of that its idleness is withdrawn (then True): under load enqueues need not ring."""
        since = self._working_since.setdefault(lane, now)
        if lane not in self._declared or now - since < BUSY_S:
            return False
        # Before it is withdrawn: it must not count as declared if the answer is lost.
        del self._declared[lane]
        self._store.withdraw_idle(host_id, lane)
        return True

    @property
    def declared(self) -> frozenset[str]:
        """The lanes whose idleness is declared."""
        return frozenset(self._declared)

    def leave(self, host_id: int, lane: str) -> None:
        """Withdraw the idleness of a lane that is not to be woken, whatever comes."""
        self._working_since.pop(lane, None)
        # Before it is withdrawn, as above.
        del self._declared[lane]
        self._store.withdraw_idle(host_id, lane)

    def forget(self) -> None:
        """What was declared may be gone: it was of another host row, or the database was away."""
        self._declared.clear()

    def settle(self) -> None:
        """Ask, before a look, whether whoever may have missed a declaration has ended."""
        if self._settles_at is not None and self._store.oldest_open() >= self._settles_at:
            self._settles_at = None

    def pause_s(self, lanes: int) -> float:
        """Return how long to wait until the next look, of this many lanes."""
        if self._settles_at is not None:
            pause_s = self._pause_s
            self._pause_s = min(2 * pause_s, self.poll_s)
            return pause_s
        if self.heard and len(self._declared) == lanes:
            return max(SAFETY_POLL_S, self.poll_s)
        return self.poll_s
