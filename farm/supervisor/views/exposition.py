"""The page /metrics of this farm: read from memory alone, in the metrics thread, from what the other threads write and count.

Nothing here is locked, so numbers of one page may be a moment apart. A page costs what has changed since the one before, as far as jobs
are concerned: the lines of tasks of which nothing has ended since are kept.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter

from farm import linux
from farm.metrics import families as of
from farm.metrics.families import Family
from farm.metrics.health import Facts, Standing
from farm.metrics.text import Rows, Text, fill_histogram, histogram_form, lines_form
from farm.model import OutcomeKind
from farm.shm.briefs import NOTHING, QUEUE, QUEUE_US, RUN, RUN_US, Brief
from farm.shm.counters import Commits
from farm.supervisor.counts.figures import Figures as PartFigures
from farm.supervisor.counts.figures import Reason
from farm.supervisor.counts.tallies import Pair
from farm.supervisor.crew.bounds import limit_bytes
from farm.supervisor.crew.crew import Crew
from farm.supervisor.crew.mainstays import Mainstays
from farm.supervisor.crew.posts import LanePosts
from farm.supervisor.lanes.lane import PAUSED, SHORT_OF_MEMORY, Lane
from farm.supervisor.processes.footprint import Resident, resident_bytes
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
_others_of = itemgetter(*(kind for kind, _name in _OTHERS))
REASONS = tuple(map(str, Reason))

Lines = dict[Family, list[bytes]]


class _Told:
    """What is told of one task in one lane: its lines, and the forms that they are made of."""

    __slots__ = ("_jobs_form", "_pair", "_queued_form", "_run_form", "brief", "jobs", "queued", "run")

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._jobs_form = lines_form(of.JOBS, pair, _SHOWN)
        self._run_form, self._queued_form = histogram_form(of.RUN, pair), histogram_form(of.QUEUED, pair)
        self.brief = NOTHING
        self.jobs = self.run = self.queued = b""

    def renew(self, brief: Brief) -> None:
        """Have it tell this."""
        self.brief = brief
        # What has not happened yet is 0, so that the first time counts as an increase.
        self.jobs = self._jobs_form % _shown_of(brief)
        if any(_others_of(brief)):
            others = [(name, brief[kind]) for kind, name in _OTHERS if brief[kind]]
            self.jobs += lines_form(of.JOBS, self._pair, [name for name, _count in others]) % tuple(count for _name, count in others)
        self.run = fill_histogram(self._run_form, brief[RUN], brief[RUN_US] / 1e6)
        self.queued = fill_histogram(self._queued_form, brief[QUEUE], brief[QUEUE_US] / 1e6)


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
        self._resident = Resident()
        self._told: dict[Pair, _Told] = {}
        self._restarts: tuple[tuple[str, ...], Mapping[tuple[str, Reason], int], list[bytes]] = (), {}, []
        self._taken_s = 0.0

    def page(self, facts: Facts, standing: Standing) -> list[bytes]:
        """Return the page as of now, in parts."""
        begun = time.perf_counter()
        lines: Lines = {}
        self._add_jobs(lines)
        self._add_farm(lines, standing)
        self._add_depths(lines)
        self._add_lanes(lines)
        self._add_claims(lines)
        self._add_writer(lines, facts.backlog)
        self._add_processes(lines)
        self._add_database(lines)
        page = self._text.page(lines)
        self._taken_s = time.perf_counter() - begun
        return page

    def _add_farm(self, lines: Lines, standing: Standing) -> None:
        self._one(lines, of.INFO, 1, *self._about)
        self._one(lines, of.STARTED, self._began)
        self._one(lines, of.READY, standing.ready)
        self._one(lines, of.HEALTHY, standing.healthy)
        self._one(lines, of.DRAINING, standing.draining)
        self._one(lines, of.SCRAPE, self._taken_s)

    def _add_jobs(self, lines: Lines) -> None:
        told, briefs = self._told, self._crew.tallies.read()
        for pair in told.keys() - briefs.keys():
            del told[pair]
        for pair, brief in briefs.items():
            known = told.get(pair)
            if known is None:
                known = told[pair] = _Told(pair)
            # Whoever sums them up returns the same one while nothing has come.
            if known.brief is not brief:
                known.renew(brief)
        lines[of.JOBS] = [one.jobs for one in told.values()]
        lines[of.RUN] = [one.run for one in told.values()]
        lines[of.QUEUED] = [one.queued for one in told.values()]

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
        posts_of_all = self._crew.posts
        lanes = [posts.lane for posts in posts_of_all]
        names = tuple((lane.name,) for lane in lanes)
        self._column(lines, of.CAPACITY, names, [lane.slots for lane in lanes])
        self._column(lines, of.BUSY, names, [sum(generation.occupied for generation in lane.astir) for lane in lanes])
        self._column(lines, of.BUFFERED, names, [max(0, lane.buffered) for lane in lanes])
        held = [(lane, reason) for lane in lanes for reason in (PAUSED, SHORT_OF_MEMORY)]
        rows = tuple((lane.name, reason) for lane, reason in held)
        self._column(lines, of.HELD, rows, [reason in lane.held_by for lane, reason in held])
        self._column(lines, of.PAUSED, names, [PAUSED in lane.held_by for lane in lanes])
        self._column(lines, of.SUBWORKERS, names, [posts.present for posts in posts_of_all])
        self._column(lines, of.WANTED, names, [len(posts.posts) for posts in posts_of_all])
        self._column(lines, of.STOLEN, names, [lane.stolen for lane in lanes])
        claims = [(name, of_lane) for (name,) in names if (of_lane := self._figures.claims.by_lane.get(name)) is not None]
        names = tuple((name,) for name, _of_lane in claims)
        self._column(lines, of.LANE_CLAIMS, names, [of_lane.claims for _name, of_lane in claims])
        self._column(lines, of.LANE_EMPTY, names, [of_lane.empty for _name, of_lane in claims])
        self._column(lines, of.LANE_CLAIMED, names, [of_lane.jobs for _name, of_lane in claims])
        self._add_rings(lines, lanes)

    def _add_rings(self, lines: Lines, lanes: Sequence[Lane]) -> None:
        # Those of whom nothing is expected are empty.
        fills = [[generation.ring_fills() for generation in lane.astir] for lane in lanes]
        fullest = [max((fill[ring] for fill in of_lane), default=0.0) for of_lane in fills for ring in (0, 1)]
        self._column(lines, of.RING_FILL, tuple((lane.name, ring) for lane in lanes for ring in ("job", "result")), fullest)

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
        self._add_restarts(lines)
        held = [(posts.lane.name, *one) for posts in self._crew.posts for one in _held(posts)][:SUBWORKERS_MAX]
        names = tuple((lane, name) for lane, name, _generation in held)
        generations = [generation for _lane, _name, generation in held]
        self._column(lines, of.RSS, names, self._resident.look([generation.pid for generation in generations]))
        self._column(lines, of.LIMIT, names, map(limit_bytes, generations))
        own = {"supervisor": os.getpid(), "writer": self._mainstays.writer.pid, "zygote": self._mainstays.zygote.pid}
        for process, pid in own.items():
            self._one(lines, of.PROCESS_RSS, resident_bytes(pid), process)
            if (used_s := linux.cpu_s(pid)) is not None:
                self._one(lines, of.PROCESS_CPU, used_s, process)
        for thread, failures in self._thread_failures().items():
            self._one(lines, of.THREAD_FAILURES, failures, thread)

    def _add_restarts(self, lines: Lines) -> None:
        names, by_lane = tuple(posts.lane.name for posts in self._crew.posts), self._figures.restarts.by_lane
        # It is replaced as a whole when anything changes.
        if self._restarts[:2] != (names, by_lane):
            told = [
                self._text.lines(of.RESTARTS, (name,), REASONS, [by_lane.get((name, reason), 0) for reason in Reason]) for name in names
            ]
            self._restarts = names, by_lane, told
        lines[of.RESTARTS] = self._restarts[2]

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
        self._one(lines, of.LEASES_REAPED, upkeep.leases_reaped)
        self._one(lines, of.REAPED, upkeep.jobs_reaped)
        self._one(lines, of.PROMOTED, upkeep.jobs_promoted)
        self._one(lines, of.EXPIRED, upkeep.jobs_expired)
        self._one(lines, of.COMMITS_ENDED, upkeep.commits_ended)

    def _one(self, lines: Lines, family: Family, value: float, *labels: str) -> None:
        lines.setdefault(family, []).append(self._text.line(family, labels, value))

    def _column(self, lines: Lines, family: Family, rows: Rows, values: Iterable[float]) -> None:
        if rows:
            lines[family] = [self._text.column(family, rows, values)]

    def _spread(self, lines: Lines, family: Family, cumulative: Sequence[int], total: float) -> None:
        lines[family] = [self._text.histogram(family, (), cumulative, total)]


def _held(posts: LanePosts) -> Iterable[tuple[str, Generation]]:
    """Return who holds the posts of a lane, and its spare, by names that are no other's in it."""
    for post in (*posts.posts, posts.spare):
        generation = post.generation
        if generation is not None and generation.pid:
            yield ("spare" if post is posts.spare else f"w{post.index}"), generation
