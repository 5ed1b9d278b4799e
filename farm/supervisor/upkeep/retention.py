"""Retention: goes on with what is being pruned, a little at a time, and begins with the next partition of which enough may go."""

from __future__ import annotations

import logging
import time
from typing import Protocol

from farm.errors import StoreError, StoreUnavailable
from farm.failpoints import passing
from farm.model import KEEP_ALL, Retention, TableUser
from farm.supervisor.log.events import Event, event
from farm.units import counted, format_duration

LOOK_EVERY_S = 5.0
"""For what somebody else has begun."""
LOOKING_S_MAX = 10.0
"""So long a look may take at the most: a hundred partitions on a slow disk hold up all else that its thread does, and look like a thread
that is stuck."""
TURN_S = 60.0
"""So often some host looks for partitions of which enough may go."""
AGAIN_S = 600.0
"""After something that will not go away by itself, such as a missing permission."""
DROP_EVERY_S = 1.0

SHARE = 0.03
"""Of the time of one connection, of all hosts together, goes into copying: five million jobs are 5 s of work."""
STEP_JOBS_MIN, STEP_JOBS_MAX = 100, 10_000
STEP_S_LOW, STEP_S_HIGH = 0.02, 0.1
"""A step that took longer makes the next ones smaller, a quicker one larger: other work of the thread waits for it."""

LOCK_MS_MIN, LOCK_MS_MAX = 4, 20
"""Everybody waits behind a lock that is waited for: short waits first, and never a long one."""
LOCK_AGAIN_S_MIN, LOCK_AGAIN_S_MAX = 0.25, 5.0
LOCKED_TOLD = 20
"""So many tries in vain take a minute and a half; then it is told who is in the way, once."""
PARTS_OF_AGE = 8
"""New jobs go into another partition after this part of the shortest time for which jobs are kept: so long more, at the most, they stay."""
PARTITION_AGE_S_MIN = 60.0

log = logging.getLogger("farm")


class UnderWay(Protocol):
    """What is left to do of what somebody has begun."""

    @property
    def pruning(self) -> bool: ...
    @property
    def leaving(self) -> bool: ...


class Step(Protocol):
    """How far a partition is."""

    @property
    def state(self) -> str: ...
    @property
    def wait_s(self) -> float: ...
    @property
    def jobs(self) -> int: ...
    @property
    def kept(self) -> int: ...


class PruneStore(Protocol):
    """What retention asks of the store."""

    def under_way(self) -> UnderWay: ...
    def go_on(self, jobs_max: int, share: float) -> Step: ...
    def spare(self, retention: Retention) -> str: ...
    def finish(self, lock_ms: int) -> str: ...
    def in_the_way(self) -> TableUser | None: ...
    def drop(self) -> bool: ...
    def take_look(self, every_s: float) -> bool: ...
    def begin_next(self, older_than_s: float) -> bool: ...
    def begin_due(self, retention: Retention, *, looking_s: float) -> bool: ...


class Pruner:
    """Part of upkeep. Whatever was begun, by whichever host or by `farm prune`, is brought to its end, also where nothing is configured.

    But for what was begun with shorter times than those of a configuration that is new here: that is given up, once.
    """

    def __init__(self, *, store: PruneStore, retention: Retention) -> None:
        self._store = store
        self._retention = retention
        self._heeded = KEEP_ALL
        """The one by which it was looked whether something is to be spared. To configure nothing is to have no say, at the start."""
        self._next_at = 0.0
        self._step_jobs = STEP_JOBS_MAX // 10
        self._locked = 0
        """How often in a row the tables could not be had."""
        self._complaint = ""

    def adopt(self, retention: Retention) -> None:
        """Go by this configuration from the next step on. What is under way goes on, unless it would remove what is to stay now. From any
        thread."""
        self._retention = retention
        self._next_at = 0.0

    def step(self, now: float) -> float:
        """Do a little, if it is time to; returns after how many seconds to come again."""
        if now < self._next_at:
            return self._next_at - now
        wait_s = LOOK_EVERY_S
        try:
            wait_s = self._go_on()
            self._complaint = ""
        except StoreUnavailable:
            # A step may have been too large for the time that a statement has.
            self._step_jobs = max(STEP_JOBS_MIN, self._step_jobs // 8)
            raise
        except StoreError as error:
            wait_s = AGAIN_S
            if str(error) != self._complaint:
                self._complaint = str(error)
                log.error("old jobs are not removed: %s", error, extra=event(Event.PRUNING_REFUSED, why=str(error)))
        finally:
            self._next_at = now + wait_s
        return wait_s

    def _go_on(self) -> float:
        under_way = self._store.under_way()
        if under_way.leaving and self._store.drop():
            passing("retention.after_drop")
            return DROP_EVERY_S
        if self._retention != self._heeded and (wait_s := self._spare(under_way.pruning)) is not None:
            return wait_s
        if under_way.pruning:
            return self._prune()
        shortest_s = self._retention.shortest_s
        if shortest_s is None or not self._store.take_look(TURN_S):
            return LOOK_EVERY_S
        if self._store.begin_next(max(PARTITION_AGE_S_MIN, shortest_s / PARTS_OF_AGE)):
            log.info("new jobs go into another partition: old ones will be removed with theirs")
        return 0.0 if self._store.begin_due(self._retention, looking_s=LOOKING_S_MAX) else LOOK_EVERY_S

    def _spare(self, pruning: bool) -> float | None:
        """Look once whether jobs that are to stay would go with what is under way; returns when to come again if that changes anything."""
        retention = self._retention
        done = self._store.spare(retention) if pruning else "none"
        if done == "busy":
            return LOCK_AGAIN_S_MIN
        self._heeded = retention
        if done != "spared":
            return None
        log.info(
            "a range that was being cleared with shorter times is left as it is: jobs are kept longer now", extra=event(Event.JOBS_SPARED)
        )
        return 0.0

    def _prune(self) -> float:
        passing("retention.before_copy")
        began = time.monotonic()
        step = self._store.go_on(self._step_jobs, SHARE)
        passing("retention.after_copy")
        if step.state != "copied":
            taken_s = time.monotonic() - began
            if taken_s > STEP_S_HIGH:
                self._step_jobs = max(STEP_JOBS_MIN, self._step_jobs // 2)
            elif taken_s < STEP_S_LOW:
                self._step_jobs = min(STEP_JOBS_MAX, self._step_jobs * 2)
            return max(step.wait_s, taken_s)
        passing("retention.before_swap")
        done = self._store.finish(min(LOCK_MS_MAX, LOCK_MS_MIN << min(self._locked, 8)))
        if done == "locked":
            self._locked += 1
            if self._locked == LOCKED_TOLD and (other := self._store.in_the_way()) is not None:
                log.warning(
                    "old jobs are not removed while %s (backend %d) reads or writes jobs, for %s by now",
                    other.who,
                    other.pid,
                    format_duration(other.age_s),
                    extra=event(Event.PRUNING_HELD, who=other.who, pid=other.pid, age_s=other.age_s),
                )
            return min(LOCK_AGAIN_S_MAX, LOCK_AGAIN_S_MIN * (1 << min(self._locked, 8)))
        self._locked = 0
        if done == "pruned":
            passing("retention.after_swap")
            removed = step.jobs - step.kept
            told = event(Event.JOBS_PRUNED, removed=removed, kept=step.kept)
            log.info("removed %s of an old partition, where %s stay", counted(removed, "job"), f"{step.kept:,}", extra=told)
        return DROP_EVERY_S
