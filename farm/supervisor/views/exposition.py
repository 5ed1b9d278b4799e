"""The page /metrics of this farm: read from memory alone, in the metrics thread, from what the other threads write and count.

Nothing here is locked, so numbers of one page may be a moment apart. A page costs what has changed since the one before, as far as jobs
are concerned: the lines of tasks of which nothing has ended since are kept.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter

from farm import linux
from farm.metrics import families as of
from farm.metrics.families import Family
from farm.metrics.health import Facts, Standing
from farm.metrics.text import Text
from farm.model import OutcomeKind
from farm.shm.counters import Commits
from farm.shm.tallies import OCTAVE_BOUNDS_S, Figures, brief_of
from farm.supervisor.counts.figures import Figures as PartFigures
from farm.supervisor.counts.figures import Reason
from farm.supervisor.crew.bounds import limit_bytes
from farm.supervisor.crew.crew import Crew
from farm.supervisor.crew.mainstays import Mainstays
from farm.supervisor.crew.posts import LanePosts
from farm.supervisor.lanes.lane import PAUSED, SHORT_OF_MEMORY, Lane
from farm.supervisor.processes.footprint import resident_bytes
from farm.supervisor.processes.generation import Generation
from farm.supervisor.views.depths import DepthWatch

QUEUES_MAX = 100
"""Queues of which the depth is told, the deepest first; names come from whoever enqueues."""
SUBWORKERS_MAX = 1000
"""Subworkers whose memory is told."""
OUTCOMES_SHOWN = {
    kind: kind.name.lower()
    for kind in (
        OutcomeKind.SUCCEEDED,
        OutcomeKind.FAILED,
        OutcomeKind.TIMED_OUT,
        OutcomeKind.CRASHED,
        OutcomeKind.MEMORY,
        OutcomeKind.CANCELLED,
    )
}
"""Of every task, whether it had any or not."""
_SHOWN = tuple(OUTCOMES_SHOWN.values())
_shown_of = itemgetter(*OUTCOMES_SHOWN)
_OTHERS = tuple((int(kind), kind.name.lower()) for kind in OutcomeKind if kind not in OUTCOMES_SHOWN)
REASONS = tuple(map(str, Reason))

Lines = dict[Family, list[str]]
_at_bounds: Callable[[list[int]], Sequence[int]] = itemgetter(*map(OCTAVE_BOUNDS_S.index, of.JOB_BOUNDS_S), -1)


@dataclass(slots=True)
class _Told:
    """The lines of one task in one lane, and what they were made of."""

    figures: Figures
    jobs: bytes
    run: bytes
    queued: bytes


class Exposition:
    """Makes pages. One thread only."""

    def __init__(
        self,
        *,
        crew: Crew,
        mainstays: Mainstays,
        figures: PartFigures,
        depths: DepthWatch,
        commits: Callable[[], Commits],
        thread_failures: Callable[[], Mapping[str, int]],
        farm: str,
        version: str,
    ) -> None:
        """commits: what those of all writers came to. thread_failures: of the supervisor's threads, by name. farm: the instance."""
        self._crew = crew
        self._mainstays = mainstays
        self._figures = figures
        self._depths = depths
        self._commits = commits
        self._thread_failures = thread_failures
        self._about = farm, version
        self._began = time.time()
        self._text = Text()
        self._told: dict[tuple[str, str], _Told] = {}
        self._taken_s = 0.0

    def page(self, facts: Facts, standing: Standing) -> bytes:
        """Return the page as of now."""
        begun = time.perf_counter()
        lines: Lines = {}
        blocks = self._job_blocks()
        self._add_farm(lines, standing)
        self._add_depths(lines)
        self._add_lanes(lines)
        self._add_claims(lines)
        self._add_writer(lines, facts.backlog)
        self._add_processes(lines)
        self._add_database(lines)
        page = self._text.page(lines, blocks)
        self._taken_s = time.perf_counter() - begun
        return page

    def _add_farm(self, lines: Lines, standing: Standing) -> None:
        self._one(lines, of.INFO, 1, *self._about)
        self._one(lines, of.STARTED, self._began)
        self._one(lines, of.READY, standing.ready)
        self._one(lines, of.HEALTHY, standing.healthy)
        self._one(lines, of.DRAINING, standing.draining)
        self._one(lines, of.SCRAPE, self._taken_s)

    def _job_blocks(self) -> dict[Family, list[bytes]]:
        """Return what is told of jobs."""
        before, self._told = self._told, {}
        for pair, figures in self._crew.tallies.read().items():
            told = before.get(pair)
            # Whoever sums them up returns the same one while nothing has come.
            self._told[pair] = told if told is not None and told.figures is figures else self._told_of(pair, figures)
        told_of_all = self._told.values()
        return {
            of.JOBS: [told.jobs for told in told_of_all],
            of.RUN: [told.run for told in told_of_all],
            of.QUEUED: [told.queued for told in told_of_all],
        }

    def _told_of(self, pair: tuple[str, str], figures: Figures) -> _Told:
        text, brief = self._text, brief_of(figures)
        # What has not happened yet is 0, so that the first time counts as an increase.
        jobs = text.lines(of.JOBS, pair, _SHOWN, _shown_of(brief.ended))
        for kind, name in _OTHERS:
            if count := brief.ended[kind]:
                jobs += text.line(of.JOBS, (*pair, name), count)
        run = text.histogram(of.RUN, pair, _at_bounds(brief.run), brief.run_s)
        queued = text.histogram(of.QUEUED, pair, _at_bounds(brief.queue), brief.queue_s)
        return _Told(figures, jobs.encode(), run.encode(), queued.encode())

    def _add_depths(self, lines: Lines) -> None:
        # Asking keeps them counted: nobody would count for a farm that nobody looks at.
        depths = self._depths.look()
        if depths is None:
            return
        for queue in sorted(depths.queues, key=lambda queue: -queue.ready)[:QUEUES_MAX]:
            self._one(lines, of.DEPTH, queue.ready, queue.queue)
            oldest_s = 0.0 if queue.oldest_s is None else queue.oldest_s + (depths.age_s or 0.0)
            self._one(lines, of.OLDEST, oldest_s, queue.queue)
        if depths.age_s is not None:
            self._one(lines, of.DEPTH_AGE, depths.age_s)

    def _add_lanes(self, lines: Lines) -> None:
        claims = self._figures.claims.by_lane
        for posts in self._crew.posts:
            lane = posts.lane
            name, held_by = lane.name, lane.held_by
            self._one(lines, of.CAPACITY, lane.slots, name)
            self._one(lines, of.BUSY, sum(generation.occupied for generation in lane.generations), name)
            self._one(lines, of.BUFFERED, max(0, lane.buffered), name)
            for reason in (PAUSED, SHORT_OF_MEMORY):
                self._one(lines, of.HELD, reason in held_by, name, reason)
            self._one(lines, of.PAUSED, PAUSED in held_by, name)
            self._one(lines, of.SUBWORKERS, posts.present, name)
            self._one(lines, of.WANTED, len(posts.posts), name)
            self._one(lines, of.STOLEN, lane.stolen, name)
            if (of_lane := claims.get(name)) is not None:
                self._one(lines, of.LANE_CLAIMS, of_lane.claims, name)
                self._one(lines, of.LANE_EMPTY, of_lane.empty, name)
                self._one(lines, of.LANE_CLAIMED, of_lane.jobs, name)
            self._add_rings(lines, lane)

    def _add_rings(self, lines: Lines, lane: Lane) -> None:
        fills = [generation.ring_fills() for generation in lane.generations]
        for index, ring in enumerate(("job", "result")):
            self._one(lines, of.RING_FILL, max((fill[index] for fill in fills), default=0.0), lane.name, ring)

    def _add_claims(self, lines: Lines) -> None:
        figures = self._figures.claims
        self._spread(lines, of.CLAIM_TIME, figures.times.cumulative(of.TIME_BOUNDS_S), figures.times.total)
        self._spread(lines, of.CLAIM_SIZE, figures.sizes.cumulative(of.SIZE_BOUNDS), figures.sizes.total)

    def _add_writer(self, lines: Lines, backlog: int) -> None:
        commits = self._commits()
        counts, standing = commits.counts, commits.standing
        self._spread(lines, of.FLUSH_TIME, commits.times.cumulative(of.TIME_BOUNDS_S), commits.times.total)
        self._spread(lines, of.FLUSH_SIZE, commits.sizes.cumulative(of.SIZE_BOUNDS), commits.sizes.total)
        self._one(lines, of.BACKLOG, backlog)
        for fate in ("written", "duplicate", "stale", "already", "unknown"):
            self._one(lines, of.OUTCOMES, getattr(counts, fate), fate)
        self._one(lines, of.RETRIES, counts.failures)
        since_ns = standing.failing_since_ns
        self._one(lines, of.FAILING, max(0, time.monotonic_ns() - since_ns) / 1e9 if since_ns else 0.0)

    def _add_processes(self, lines: Lines) -> None:
        left, restarts = SUBWORKERS_MAX, self._figures.restarts.by_lane
        for posts in self._crew.posts:
            held = list(_held(posts))[:left]
            left -= len(held)
            for name, generation in held:
                self._one(lines, of.RSS, resident_bytes(generation.pid), posts.lane.name, name)
                self._one(lines, of.LIMIT, limit_bytes(generation), posts.lane.name, name)
            counts = [restarts.get((posts.lane.name, reason), 0) for reason in Reason]
            lines.setdefault(of.RESTARTS, []).append(self._text.lines(of.RESTARTS, (posts.lane.name,), REASONS, counts))
        own = {"supervisor": os.getpid(), "writer": self._mainstays.writer.pid, "zygote": self._mainstays.zygote.pid}
        for process, pid in own.items():
            self._one(lines, of.PROCESS_RSS, resident_bytes(pid), process)
            if (used_s := linux.cpu_s(pid)) is not None:
                self._one(lines, of.PROCESS_CPU, used_s, process)
        for thread, failures in self._thread_failures().items():
            self._one(lines, of.THREAD_FAILURES, failures, thread)

    def _add_database(self, lines: Lines) -> None:
        beats, upkeep = self._figures.beats, self._figures.upkeep
        self._one(lines, of.UP, beats.away_since is None)
        if beats.last_s is not None:
            self._one(lines, of.LATENCY, beats.last_s)
        self._one(lines, of.BEATS, beats.beats)
        self._one(lines, of.OUTAGES, beats.outages)
        self._one(lines, of.OUTAGE_TIME, beats.outage_s(time.monotonic()))
        self._one(lines, of.HORIZON, upkeep.horizon_age_s)
        self._one(lines, of.HOSTS_RETIRED, upkeep.hosts_retired)
        self._one(lines, of.REAPED, upkeep.jobs_reaped)
        self._one(lines, of.PROMOTED, upkeep.jobs_promoted)
        self._one(lines, of.EXPIRED, upkeep.jobs_expired)
        self._one(lines, of.COMMITS_ENDED, upkeep.commits_ended)

    def _one(self, lines: Lines, family: Family, value: float, *labels: str) -> None:
        lines.setdefault(family, []).append(self._text.line(family, labels, value))

    def _spread(self, lines: Lines, family: Family, cumulative: Sequence[int], total: float) -> None:
        lines[family] = [self._text.histogram(family, (), cumulative, total)]


def _held(posts: LanePosts) -> Iterable[tuple[str, Generation]]:
    """Return who holds the posts of a lane, and its spare, by names that are no other's in it."""
    for post in (*posts.posts, posts.spare):
        generation = post.generation
        if generation is not None and generation.pid:
            yield ("spare" if post is posts.spare else f"w{post.index}"), generation
