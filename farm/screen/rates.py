"""What came to be over the last seconds, of counters that only grow: rates, quantiles, shares. Rules: no clock, no shared memory."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from farm.model import OutcomeKind
from farm.screen.model import Quantiles
from farm.shm.tallies import Figures, Histogram, tally_of

MINUTE_S = 60
RECENT_S = 10
"""Over which quantiles are taken."""
RATE_S = 4.0
"""Over which the rate of now is taken: what comes in batches must not make it flicker."""

GOOD = frozenset((OutcomeKind.SUCCEEDED, OutcomeKind.SNOOZED, OutcomeKind.RELEASED, OutcomeKind.CANCELLED))
"""What is no failure: somebody has cancelled it."""


class Rate:
    """Events a second: of now, and of each of the last 60 seconds."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()
        """When, and how many there had been by then."""
        self._total = 0
        self._seconds: deque[int] = deque(maxlen=MINUTE_S)
        self._second: int | None = None
        self._this_second = 0
        self._shown: tuple[float, ...] = ()

    def note(self, now: float, events: int) -> None:
        """Take in how many there were since the last call; now in seconds. At the first call: they are not known to be recent."""
        second = int(now)
        if self._second is None:
            events = 0
        elif second != self._second:
            gap = min(second - self._second, MINUTE_S + 1)
            # What came since a look that was long ago is spread over the time since.
            share, rest = divmod(events, gap) if gap > 1 else (0, events)
            self._seconds.append(self._this_second)
            self._seconds.extend([share] * (gap - 1))
            self._this_second = rest if gap == 1 else share + rest
            self._shown = tuple(map(float, self._seconds))
        else:
            self._this_second += events
        self._second = second
        self._total += events
        self._samples.append((now, self._total))
        while len(self._samples) > 2 and self._samples[1][0] <= now - RATE_S:
            self._samples.popleft()

    @property
    def per_second(self) -> float:
        """Over the last few seconds."""
        if len(self._samples) < 2:
            return 0.0
        (began, before), (ended, total) = self._samples[0], self._samples[-1]
        return (total - before) / (ended - began) if ended > began else 0.0

    @property
    def seconds(self) -> tuple[float, ...]:
        """Of each of the last 60 seconds as far as they were seen, the newest last: the last one that is over."""
        return self._shown


class Recent(NamedTuple):
    """What a minute's jobs came to."""

    queue_time: Quantiles
    """Of the last ten seconds, as is the next."""
    run_time: Quantiles
    failure_share: float | None
    median_run_s: float | None
    """Over the whole minute."""


NOTHING = Recent(Quantiles(), Quantiles(), None, None)


class Minute:
    """The tallies of the last minute, in steps of a second or more."""

    def __init__(self) -> None:
        self._steps: deque[tuple[float, Figures]] = deque()
        self._sum: Figures = 0

    def note(self, now: float, figures: Figures) -> None:
        """Take in what was counted since the last call; now in seconds."""
        if figures:
            self._steps.append((now, figures))
            self._sum += figures
        while self._steps and self._steps[0][0] <= now - MINUTE_S:
            self._sum -= self._steps.popleft()[1]

    def recent(self, now: float) -> Recent:
        """Return what it came to. Not cheap: meant for once a second."""
        if not self._steps:
            return NOTHING
        lately = tally_of("", sum(figures for at, figures in self._steps if at > now - RECENT_S))
        minute = tally_of("", self._sum)
        ended = sum(count for kind, count in minute.ended.items() if kind is not OutcomeKind.RELEASED)
        failed = sum(count for kind, count in minute.ended.items() if kind not in GOOD)
        return Recent(quantiles(lately.queue), quantiles(lately.run), failed / ended if ended else None, minute.run.quantile(0.5))


def quantiles(times: Histogram) -> Quantiles:
    """Return the quantiles that screens show."""
    return Quantiles(p50_s=times.quantile(0.5), p95_s=times.quantile(0.95), p99_s=times.quantile(0.99))
