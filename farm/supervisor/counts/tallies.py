"""What the jobs of this host came to, by lane and task: summed up over its subworkers, the dead ones too, and over what it ended itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from threading import Lock

from farm.model import Outcome, OutcomeKind
from farm.shm.briefs import NOTHING, Brief, RowReader, brief_of_job, exchanged
from farm.shm.tallies import ENDED_BYTES, OTHER, task_name
from farm.supervisor.processes.generation import Generation

PAIRS_MAX = 256
"""Pairs of lane and task that are kept apart: names come from whoever enqueues. What comes later is its lane's `other`."""

Pair = tuple[str, str]


@dataclass(slots=True)
class _Row:
    """A row of a subworker's table, and what was found in it at the last look."""

    pair: Pair
    reader: RowReader
    brief: Brief = NOTHING


@dataclass(slots=True)
class _Seen:
    """What was found in a subworker's table at the last look."""

    ended: bytes = b""
    rows: list[_Row] = field(default_factory=list)


class Tallies:
    """Any thread may read. A look costs what has changed since the one before: most rows of most subworkers have not."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._noted: dict[str, Counter[int]] = {}
        self._living: dict[Generation, _Seen] = {}
        self._sums: dict[Pair, Brief] = {}

    def add(self, generation: Generation) -> None:
        """Count what a new subworker does."""
        with self._lock:
            self._living[generation] = _Seen()

    def bury(self, generation: Generation) -> None:
        """Take in what a dead one has left, for good. Before its file is closed."""
        with self._lock:
            self._look(generation, self._living.pop(generation))

    def note(self, lane: str, ended: Iterable[tuple[bytes, Outcome]]) -> None:
        """Count jobs that the supervisor has ended, each with its task. What was only given back is not counted."""
        with self._lock:
            for task, outcome in ended:
                if outcome.kind != OutcomeKind.RELEASED:
                    self._noted.setdefault(lane, Counter())[int(outcome.kind)] += 1
                    # The start is what its slot says, where a job may have written anything.
                    run_us = max(0, outcome.finished_ns - outcome.started_ns) // 1000 if outcome.started_ns else None
                    pair = self._pair(lane, task_name(task))
                    self._sums[pair] = exchanged(self._sums[pair], NOTHING, brief_of_job(outcome.kind, run_us))

    def forget(self, lane: str) -> None:
        """Forget a lane that is gone, with all its subworkers: its pairs make room for others."""
        with self._lock:
            self._noted.pop(lane, None)
            self._sums = {pair: brief for pair, brief in self._sums.items() if pair[0] != lane}

    def noted(self, lane: str) -> dict[int, int]:
        """Return how many jobs of a lane the supervisor has ended itself, by kind: what no subworker's table has."""
        with self._lock:
            return dict(self._noted.get(lane, ()))

    def read(self) -> dict[Pair, Brief]:
        """Return the brief of every lane and task, as (lane, task), of which a job has ended since the farm's start.

        Those of which nothing has ended since an earlier look are the same object as then.
        """
        with self._lock:
            for generation, seen in self._living.items():
                self._look(generation, seen)
            return {pair: brief for pair, brief in self._sums.items() if brief is not NOTHING}

    def _look(self, generation: Generation, seen: _Seen) -> None:
        """Add what has come since the last look."""
        table = generation.file.tallies
        ended = table.ended()
        if ended == seen.ended:
            return
        for number in range(len(ended) // ENDED_BYTES):
            part = slice(number * ENDED_BYTES, (number + 1) * ENDED_BYTES)
            if ended[part] == seen.ended[part]:
                continue
            if number == len(seen.rows):
                seen.rows.append(_Row(self._pair(generation.lane, table.task(number)), RowReader(table, number)))
            row = seen.rows[number]
            # Where a job has scribbled over it, what was right before stays.
            if (brief := row.reader.read()) is not None and brief != row.brief:
                self._sums[row.pair] = exchanged(self._sums[row.pair], row.brief, brief)
                row.brief = brief
        seen.ended = ended

    def _pair(self, lane: str, task: str) -> Pair:
        pair = lane, task
        if pair not in self._sums and len(self._sums) >= PAIRS_MAX:
            pair = lane, OTHER
        self._sums.setdefault(pair, NOTHING)
        return pair
