"""What a screen needs to know of a farm and cannot read in shared memory: told through the control socket, about once a second.

From memory alone, like all answers there. Main thread only.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from farm.control import HOSTS_MAX
from farm.errors import FarmError
from farm.headway import printable
from farm.shm.frames import task_of
from farm.spread import Spread
from farm.supervisor.counts.figures import ClaimFigures
from farm.supervisor.crew.bounds import limit_bytes
from farm.supervisor.crew.crew import Crew
from farm.supervisor.crew.posts import LanePosts
from farm.supervisor.lanes.lane import Lane
from farm.supervisor.processes.generation import Generation
from farm.supervisor.views.depths import DepthWatch
from farm.supervisor.views.lookout import Lookout

TASKS_MAX = 200
"""Jobs that are named in one answer: a screen has fewer lines."""
TASK_CHARS_MAX = 200

Answer = dict[str, Any]


class Link(NamedTuple):
    """How the database does, as the heartbeat sees it."""

    latency_s: float | None
    away_since: float | None
    """CLOCK_MONOTONIC, in seconds."""


class Panorama:
    """Answers `screen` and `tasks`."""

    def __init__(
        self,
        *,
        crew: Crew,
        status: Callable[[], Answer],
        link: Callable[[], Link],
        depths: DepthWatch,
        lookout: Lookout,
        ack_path: Callable[[], Path],
        short_of_memory: Callable[[], str],
        claims: ClaimFigures,
        about: Mapping[str, Any],
    ) -> None:
        """status: what is told of the farm as a whole. ack_path: the file of the writer of now. about: what never changes while it runs."""
        self._crew = crew
        self._status = status
        self._link = link
        self._depths = depths
        self._lookout = lookout
        self._ack_path = ack_path
        self._short_of_memory = short_of_memory
        self._claims = claims
        self._about = {"host": platform.node(), **about}
        self._began = time.monotonic()

    def look(self) -> Answer:
        """Return what a screen shows; see _lane and _subworker for the parts. Times are in seconds, as of now."""
        now = time.monotonic()
        latency_s, away_since = self._link()
        depths, seen = self._depths.look(), self._lookout.look()
        return {
            "pid": os.getpid(),
            **self._about,
            **self._status(),
            "up_s": now - self._began,
            "latency_s": latency_s,
            "away_s": None if away_since is None else now - away_since,
            "ack": str(self._ack_path()),
            "claims": {"times": _spread(self._claims.times), "sizes": _spread(self._claims.sizes)},
            "short_of_memory": self._short_of_memory(),
            "depths": None if depths is None else {"age_s": depths.age_s, "queues": [queue._asdict() for queue in depths.queues]},
            "hosts": None if seen is None else {"age_s": now - seen.at, "hosts": _json(seen.hosts[:HOSTS_MAX])},
            "horizon": [] if seen is None else [{"holder": str(one), "age_s": one.age_s, "idle": one.idle} for one in seen.holders],
            "lanes": [self._lane(posts) for posts in self._crew.posts],
        }

    def tasks(self, of: Any) -> Answer:
        """Return the tasks of running jobs, in the order asked; of: [[number of the subworker's generation, sequence], ...]. None: gone.

        Raises FarmError.
        """
        if not isinstance(of, list) or not all(isinstance(one, list) and len(one) == 2 for one in of):
            raise FarmError("of: expected a list of [number, sequence]")
        return {"tasks": [self._task(*one) for one in of[:TASKS_MAX]]}

    def _task(self, number: Any, seq: Any) -> str | None:
        generation = self._crew.by_number.get(number) if isinstance(number, int) else None
        job = generation.handed.get(seq) if generation is not None and isinstance(seq, int) else None
        return None if job is None else printable(task_of(job)[: 4 * TASK_CHARS_MAX].decode("utf-8", "replace")[:TASK_CHARS_MAX])

    def _lane(self, posts: LanePosts) -> Answer:
        lane = posts.lane
        return {
            "name": lane.name,
            "queues": list(lane.config.queues),
            "subworkers": lane.config.subworkers,
            "concurrency": lane.config.concurrency,
            "held_by": sorted(lane.held_by),
            "stolen": lane.stolen,
            "buffered": max(0, lane.buffered),
            "ended_by_us": {str(kind): count for kind, count in self._crew.tallies.noted(lane.name).items()},
            "missing": printable(posts.shortage.why[:TASK_CHARS_MAX]),
            "crew": [_subworker(generation, lane, posts) for generation in lane.generations],
        }


def _subworker(generation: Generation, lane: Lane, posts: LanePosts) -> list[Any]:
    """Return one subworker as a row, since there may be a thousand: columns.COLUMNS says what stands where."""
    post = posts.post_of(generation)
    return [
        generation.name,
        generation.number,
        generation.post,
        generation.pid,
        "leaving" if generation.leaving else str(generation.phase),
        limit_bytes(generation),
        generation.unstarted,
        max(0, len(generation.handed) - generation.unstarted - generation.occupied),
        0 if post is None else post.restarts,
        "" if post is None else printable(post.emptied_why[:TASK_CHARS_MAX]),
    ]


def _spread(spread: Spread) -> Answer:
    return {"counts": spread.counts, "total": spread.total}


def _json(hosts: Any) -> Any:
    """Return rows of the database as what can be sent: times and numbers of theirs become text where JSON has none."""
    return orjson.loads(orjson.dumps(hosts, default=str))
