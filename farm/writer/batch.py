"""The writer's batch: when it is due, and the commit itself. A part: no process, no descriptor, only rings, a store and a clock."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from farm.errors import StoreError, StoreExhausted, StoreUnavailable
from farm.failpoints import passing
from farm.model import CommitReport, FailedAttempt, Outcomes
from farm.shm.counters import Commits, Counts, Standing
from farm.spread import SIZE_BOUNDS, TIME_BOUNDS_S, Spread
from farm.writer.failed import Reads
from farm.writer.sources import Source

ACKS_A_FRAME_MAX = 4_000
"""8 bytes each: well under a quarter of the ack ring."""
IDLE_S = 1.0
AWAITED_SHARE = 10
"""While somebody waits for a job, its host's outcomes wait for company this much shorter."""
RETRY_S_MIN = 0.05
RETRY_S_MAX = 0.5
"""A database that is back is noticed within this time: work goes on within a second of its return."""


log = logging.getLogger("farm.writer")


class Store(Protocol):
    """Where outcomes go."""

    def commit(self, outcomes: Outcomes, *, now_ns: int, again: bool = False) -> CommitReport: ...
    def take_failed(self) -> list[FailedAttempt]: ...


@dataclass(slots=True, kw_only=True)
class Tally:
    """What the commits of one writer came to, all since its start."""

    commits: int = 0
    written: int = 0
    duplicate: int = 0
    stale: int = 0
    already: int = 0
    unknown: int = 0
    failures: int = 0
    """Commits that did not reach the database."""

    def add(self, report: CommitReport) -> None:
        self.commits += 1
        self.written += report.written
        self.duplicate += report.duplicate
        self.stale += report.stale
        self.already += report.already
        self.unknown += report.unknown

    def counts(self) -> Counts:
        """Return the figures as they stand in shared memory."""
        return Counts(self.commits, self.written, self.duplicate, self.stale, self.already, self.unknown, self.failures)


class Batch:
    """Outcomes read from the rings and not yet committed.

    Filling: takes from all sources in turn until `batch_max` outcomes are held. Due: full; or a ring is full; or its oldest outcome
    is `age_max_s` old, a tenth of that while somebody waits for a job; or nothing else runs or waits, and the last commit is that
    long ago or somebody waits for a job; or the farm drains.
    Held: a commit did not reach the database; the same outcomes are offered again, and nothing more is read, until it does.
    """

    def __init__(
        self,
        *,
        commits: Store,
        acknowledge: Callable[[int, bytes], None],
        batch_max: int,
        age_max_s: float,
        report: Callable[[CommitReport], None],
        failed: Callable[[Sequence[FailedAttempt], Sequence[str]], None],
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """failed: is told of the last attempts of a commit that came to no good, and of their lanes."""
        self._store = commits
        self._acknowledge = acknowledge
        self.bound(batch_max=batch_max, age_max_s=age_max_s)
        self._report = report
        self._tell_failed = failed
        self._clock_ns = clock_ns
        self._reads = Reads()
        self._times, self._sizes = Spread(TIME_BOUNDS_S), Spread(SIZE_BOUNDS)
        self._failing_since_ns = self._committed_ns = 0
        self._outcomes = Outcomes()
        self._read_from: list[Source] = []
        self._oldest_ns = 0
        self._last_commit_ns = 0
        self._retry_at_ns = 0
        self._held = False
        self._complaint = ""
        self.draining = False
        self.awaited = False
        """Set by others: somebody waits for the end of a job."""
        self.tally = Tally()

    def __len__(self) -> int:
        return len(self._outcomes)

    @property
    def held(self) -> bool:
        """True while the last commit did not reach the database."""
        return self._held

    @property
    def full(self) -> bool:
        """True when nothing more may be read before the next commit."""
        return len(self._outcomes) >= self._batch_max

    def bound(self, *, batch_max: int, age_max_s: float) -> None:
        """Go by these bounds from now on. More than batch_max may be held already: then the next commit has all of it."""
        self._batch_max = batch_max
        self._age_max_ns = int(age_max_s * 1e9)

    def fill(self, sources: Iterable[Source]) -> None:
        """Read what the rings hold, each in turn, up to batch_max outcomes in all."""
        if self._held:
            return
        for source in sources:
            room = self._batch_max - len(self._outcomes)
            if room <= 0:
                return
            held, others, acks = len(self._outcomes), len(self._outcomes.others), len(source.acks)
            if source.read_into(self._outcomes, room):
                self._oldest_ns = min(self._oldest_ns, source.oldest_ns) if held else source.oldest_ns
                if source not in self._read_from:
                    self._read_from.append(source)
                if len(self._outcomes.others) > others:
                    self._reads.note(others, acks, source)

    def due_in_s(self, now_ns: int, sources: Iterable[Source]) -> float:
        """Return the seconds until the batch is to be committed, 0 for now."""
        if self._held:
            return max(0, self._retry_at_ns - now_ns) / 1e9
        if not len(self._outcomes):
            return IDLE_S
        if len(self._outcomes) >= self._batch_max or self.draining or any(source.blocked for source in self._read_from):
            return 0.0
        due_ns = min(self._oldest_ns, now_ns) + (self._age_max_ns // AWAITED_SHARE if self.awaited else self._age_max_ns)
        if not any(source.busy for source in sources):
            # No company is in sight: then only commits one after the other are to be kept from following each other too closely.
            due_ns = now_ns if self.awaited else min(due_ns, self._last_commit_ns + self._age_max_ns)
        return max(0, due_ns - now_ns) / 1e9

    def commit(self, now_ns: int) -> bool:
        """Commit all that is held, push the acks, then move the tails: in that order. False if the database is away."""
        again = self._held or any(source.first_pass for source in self._read_from)
        begun_ns = self._clock_ns()
        try:
            passing("writer.after_read")
            report = self._store.commit(self._outcomes, now_ns=now_ns, again=again)
            passing("writer.after_commit")
        except StoreUnavailable as error:
            if isinstance(error, StoreExhausted):
                # The heartbeat, which tells of outages, changes a row in its place and needs no room: it may notice nothing.
                self._complain(error)
            self._hold(now_ns)
            return False
        except StoreError as error:
            # Not an outage, and not a bad outcome either (those end alone): something that only a person can mend.
            self._complain(error)
            self._hold(now_ns)
            return False
        self._held = False
        if self._complaint:
            self._complaint = ""
            log.warning("results are committed again")
        self._last_commit_ns = now_ns
        self.tally.add(report)
        self._note_committed(begun_ns)
        self._report(report)
        for source in self._read_from:
            for start in range(0, len(source.acks), ACKS_A_FRAME_MAX):
                self._acknowledge(source.number, source.acks[start : start + ACKS_A_FRAME_MAX].tobytes())
        passing("writer.after_ack")
        for source in self._read_from:
            source.release()
        passing("writer.after_tail")
        self._outcomes = Outcomes()
        self._read_from.clear()
        self._reads.clear()
        return True

    def told(self) -> Commits:
        """Return what all commits came to, as it is told to others."""
        held = len(self._outcomes) if self._held else 0
        standing = Standing(held, self._failing_since_ns, self._committed_ns)
        return Commits(self.tally.counts(), standing, self._times, self._sizes)

    def _note_committed(self, begun_ns: int) -> None:
        self._committed_ns, self._failing_since_ns = self._clock_ns(), 0
        self._times.note((self._committed_ns - begun_ns) / 1e9)
        self._sizes.note(len(self._outcomes))
        if failed := self._store.take_failed():
            self._tell_failed(failed, self._reads.lanes(self._outcomes, failed))

    def _complain(self, error: StoreError) -> None:
        # A full disk is told of in other words each time: another file could not be extended.
        if not self._complaint or (str(error) != self._complaint and not isinstance(error, StoreExhausted)):
            self._complaint = str(error)
            log.error("results cannot be committed, and are kept: %s", error)

    def _hold(self, now_ns: int) -> None:
        pause_s = random.uniform(RETRY_S_MIN, RETRY_S_MAX)
        self._retry_at_ns = now_ns + int(pause_s * 1e9)
        self._held = True
        self._failing_since_ns = self._failing_since_ns or self._clock_ns()
        self.tally.failures += 1
