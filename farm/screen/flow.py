"""The way of a batch through this host: what claims and commits came to, and how full the rings are."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any, Generic, TypeVar

from farm.errors import FarmError
from farm.model import OutcomeKind
from farm.screen.model import FailureView, Flow, Quantiles
from farm.shm.counters import NO_COMMITS, Commits, load_commits
from farm.shm.failures import Failure, FailureFile
from farm.shm.generation import RingFile
from farm.spread import SIZE_BOUNDS, TIME_BOUNDS_S, Spread
from farm.units import format_duration

RECENT_S = 10.0
KIND_WORDS = {int(kind): kind.name.lower() for kind in OutcomeKind}

T = TypeVar("T")


class Earlier(Generic[T]):
    """Remembers readings of what only grows, to tell what has come over the last ten seconds."""

    def __init__(self) -> None:
        self._readings: deque[tuple[float, T]] = deque()

    def note(self, now: float, reading: T) -> tuple[float, T]:
        """Take in a reading; returns how long ago the one before that time was made, and it."""
        self._readings.append((now, reading))
        while len(self._readings) > 2 and self._readings[1][0] <= now - RECENT_S:
            self._readings.popleft()
        at, earlier = self._readings[0]
        return now - at, earlier

    def clear(self) -> None:
        """Forget all: it has begun anew."""
        self._readings.clear()


class FlowWatch:
    """Reads the files of the writer of now, mapped for reading alone, and what the farm tells of its claims."""

    def __init__(self) -> None:
        self._ack: RingFile | None = None
        self._failures: FailureFile | None = None
        self._commits = Earlier[Commits]()
        self._claims = Earlier[tuple[Spread, Spread]]()
        self._claim_figures: tuple[Spread, Spread] = (Spread(TIME_BOUNDS_S), Spread(SIZE_BOUNDS))
        self._seen_added = -1
        self._failed: tuple[FailureView, ...] = ()

    def attach(self, ack: Path, failures: Path) -> None:
        """Read these files from now on; those that are gone are left out."""
        if self._ack is None or self._ack.path != ack:
            self._close_ack()
            self._commits.clear()
            with suppress(OSError, FarmError):
                self._ack = RingFile.open(ack, read_only=True)
        if self._failures is None or self._failures.path != failures:
            self._close_failures()
            with suppress(OSError, FarmError):
                self._failures = FailureFile.open(failures, read_only=True)

    def tell(self, claims: dict[str, Any]) -> None:
        """Take in what the farm tells of its claims."""
        times, sizes = claims["times"], claims["sizes"]
        self._claim_figures = Spread(TIME_BOUNDS_S, times["counts"], times["total"]), Spread(SIZE_BOUNDS, sizes["counts"], sizes["total"])

    def look(self, now: float, *, job_rings: float, result_rings: float, uncommitted: int) -> Flow:
        """Return how it stands. job_rings, result_rings: how full the fullest are; uncommitted: jobs that have ended."""
        commits = NO_COMMITS if self._ack is None else load_commits(self._ack)
        since_s, before = self._commits.note(now, commits)
        commit_times, commit_sizes = commits.times.minus(before.times), commits.sizes.minus(before.sizes)
        claimed_s, (times_before, sizes_before) = self._claims.note(now, self._claim_figures)
        claim_times, claim_sizes = self._claim_figures[0].minus(times_before), self._claim_figures[1].minus(sizes_before)
        return Flow(
            claim_rate=claim_times.count / claimed_s if claimed_s else 0.0,
            claim_size=claim_sizes.mean,
            claim_time=_quantiles(claim_times),
            job_rings=job_rings,
            result_rings=result_rings,
            commit_rate=commit_times.count / since_s if since_s else 0.0,
            commit_size=commit_sizes.mean,
            commit_time=_quantiles(commit_times),
            backlog=max(uncommitted, commits.standing.held),
            stale=commits.counts.stale,
            duplicate=commits.counts.duplicate,
            retries=commits.counts.failures,
        )

    def failures(self) -> tuple[FailureView, ...]:
        """Return the last attempts that came to no good, the newest first."""
        if self._failures is not None and (added := self._failures.added) != self._seen_added:
            self._seen_added = added
            self._failed = tuple(map(_failure, self._failures.read()))
        return self._failed

    def close(self) -> None:
        """Let go of the files."""
        self._close_ack()
        self._close_failures()

    def _close_ack(self) -> None:
        file, self._ack = self._ack, None
        if file is not None:
            file.close()

    def _close_failures(self) -> None:
        file, self._failures, self._seen_added = self._failures, None, -1
        if file is not None:
            file.close()


def _failure(failure: Failure) -> FailureView:
    then = "final" if failure.delay_s is None else f"retry in {format_duration(failure.delay_s)}"
    return FailureView(
        at=failure.at,
        lane=failure.lane,
        job_id=failure.job_id,
        task=failure.task,
        attempt=failure.attempt,
        kind=KIND_WORDS.get(failure.kind, "failed"),
        text=failure.text,
        then=then,
    )


def _quantiles(times: Spread) -> Quantiles:
    return Quantiles(p50_s=times.quantile(0.5), p95_s=times.quantile(0.95), p99_s=times.quantile(0.99))
