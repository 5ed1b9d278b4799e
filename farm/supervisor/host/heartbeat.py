"""The host's sign of life, and the gate: how long after its last good beat jobs may still be started."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from farm import linux
from farm.errors import FarmError, StoreUnavailable
from farm.failpoints import passing
from farm.headway import Progress
from farm.model import CancelRequest
from farm.supervisor.counts.figures import BeatFigures
from farm.supervisor.host.lanestate import Span
from farm.supervisor.host.progress import ProgressTeller
from farm.supervisor.lanes.witness import Witness
from farm.supervisor.log.events import Event, event
from farm.supervisor.processes.generation import Generation

RETRY_S = 0.2
REVIVE_AFTER_S = 5.0
"""A server of our own that was killed with its keeper comes back only if somebody asks for it; one that restarts is back by then."""

log = logging.getLogger("farm")


class Answer(Protocol):
    """What a beat of a living host is answered."""

    @property
    def database_us(self) -> int: ...
    @property
    def waiters(self) -> bool: ...
    @property
    def cancels(self) -> bool: ...
    @property
    def requests(self) -> bool: ...


class Hosts(Protocol):
    """What the heartbeat asks of the store."""

    def beat(
        self, host_id: int, running: Sequence[int], ages_s: Sequence[float], lanes: str | None, paused_queues: Sequence[str] | None
    ) -> Answer | None: ...
    def cancels(self, host_id: int) -> Sequence[CancelRequest]: ...
    def tell_progress(self, host_id: int, said: Mapping[int, Progress]) -> None: ...
    def describe(self, host_id: int, *, lanes: Mapping[str, Any], runners: Sequence[str], capacity: int, memory_bytes: int) -> None: ...


class Heartbeat:
    """A part. Modes: beating; away (the database does not answer: told once, and once more when it does again).

    It speaks for the whole farm when the database goes and comes back, because it is the one that asks every second.
    """

    def __init__(
        self,
        *,
        store: Hosts,
        host_id: int,
        every_s: float,
        gate_s: float,
        generations: Callable[[], Sequence[Generation]],
        retired: Callable[[int], None],
        registered_boot_ns: int,
        clock_us: int,
        revive: Callable[[], None] | None,
        retry_s_max: float,
        waiters: Callable[[], None],
        unwanted: Callable[[Sequence[CancelRequest]], None],
        exchange: Callable[[int, bool], None],
        witness: Witness,
        lanes: Callable[[int, Mapping[str, Span]], str],
        paused_queues: Callable[[], frozenset[str]],
    ) -> None:
        """exchange: called after each good beat with our host id and whether this host is asked for something through the database.

        lanes: says how the lanes do, as JSON, at a moment of CLOCK_MONOTONIC in nanoseconds, given where their jobs stand in the beat.
        """
        self._store = store
        self._host_id = host_id
        self._every_s = every_s
        self._gate_ns = int(gate_s * 1e9)
        self._generations = generations
        self._retired = retired
        self._revive = revive
        self._waiters = waiters
        self._unwanted = unwanted
        self._exchange = exchange
        self._witness = witness
        self._lanes = lanes
        self._paused_queues = paused_queues
        self._told_lanes: str | None = None
        self._told_paused: frozenset[str] | None = None
        """What the host's row says of them; None: not known."""
        self._progress = ProgressTeller(store)
        self._description: Mapping[str, Any] | None = None
        self._retry_s = min(RETRY_S, every_s, retry_s_max)
        self._asked_at = 0.0
        self.figures = BeatFigures()
        self.gate_ns = registered_boot_ns + self._gate_ns
        """CLOCK_BOOTTIME past which nothing may start. New generations begin with this one."""
        self.clock_us = clock_us
        """The database's clock less CLOCK_MONOTONIC: see GenerationFile.clock_us."""
        self.closed = False

    @property
    def away(self) -> bool:
        return self.figures.away_since is not None

    def admit(self, generation: Generation) -> None:
        """Let a subworker start jobs up to the gate, and tell it the time."""
        generation.file.clock_us = self.clock_us
        generation.file.gate_ns = self.gate_ns

    def begin_as(self, host_id: int, registered_boot_ns: int) -> None:
        """Beat for a new host row from now on."""
        self._host_id = host_id
        self._told_lanes = self._told_paused = None
        self._open_gate(registered_boot_ns)

    def describe(self, description: Mapping[str, Any]) -> None:
        """Have the host's row say anew what it is (see hostrow.py), with the next beat. From any thread."""
        self._description = description

    def step(self, now: float) -> float:
        """Beat once, with the running set; a good beat moves the gate on, counted from before it was sent."""
        if self.closed:
            return self._every_s
        host_id, sent_ns = self._host_id, linux.boottime_ns()
        # Before the slots are read: what is no longer among the named runs by now, or has ended.
        named = self._witness.asked
        running = [(generation, slot) for generation in self._in_order() for slot in generation.running()]
        monotonic_ns = time.monotonic_ns()
        ages_s = {slot.job_id: max(0, monotonic_ns - slot.started_ns) / 1e9 for _generation, slot in running}
        spans = _spans(generation.lane for generation, _slot in running)
        for job_id in named.job_ids:
            ages_s.setdefault(job_id, 0.0)
        try:
            passing("heartbeat.before_beat")
            answer = self._beat(host_id, ages_s, spans, monotonic_ns)
            passing("heartbeat.after_beat")
        except StoreUnavailable as error:
            self._note_away(now, error)
            self._ask_for_server(now)
            return self._retry_s
        answered_ns = time.monotonic_ns()
        self._note_back(now)
        self.figures.note_beat((answered_ns - monotonic_ns) / 1e9, now)
        if answer is None:
            self._retired(host_id)
        else:
            self.clock_us = less_monotonic(answer.database_us, monotonic_ns)
            self._open_gate(sent_ns)
            self._witness.note(named)
            # Where one of these fails the next beat fails too, says so, and they are told again after it.
            with suppress(StoreUnavailable):
                self._tell_description(host_id)
                self._progress.tell(host_id, running)
            if answer.waiters:
                self._waiters()
            if answer.cancels:
                self._read_cancels(host_id)
            # What fails here is done with the next beat, which fails too and says so.
            with suppress(StoreUnavailable):
                self._exchange(host_id, answer.requests)
        return max(0.0, self._every_s - (time.monotonic() - now))

    def _in_order(self) -> list[Generation]:
        """Return the subworkers lane by lane."""
        return sorted(self._generations(), key=lambda generation: generation.lane)

    def _beat(self, host_id: int, ages_s: Mapping[int, float], spans: Mapping[str, Span], now_ns: int) -> Answer | None:
        """Beat, with what is new of the lanes."""
        lanes, paused = self._lanes(now_ns, spans), self._paused_queues()
        answer = self._store.beat(
            host_id,
            list(ages_s),
            list(ages_s.values()),
            lanes if lanes != self._told_lanes else None,
            sorted(paused) if paused != self._told_paused else None,
        )
        self._told_lanes, self._told_paused = lanes, paused
        return answer

    def _tell_description(self, host_id: int) -> None:
        if (description := self._description) is not None:
            self._store.describe(host_id, **description)
            if self._description is description:
                self._description = None

    def _read_cancels(self, host_id: int) -> None:
        """Pass on which jobs are to end. Those that cannot be found or ended yet are among them again at the next beat."""
        # Where it fails the next beat fails too, and says so.
        with suppress(StoreUnavailable):
            if requests := self._store.cancels(host_id):
                self._unwanted(requests)

    def _open_gate(self, since_boot_ns: int) -> None:
        self.gate_ns = since_boot_ns + self._gate_ns
        for generation in self._generations():
            # What was handed out for a row that was retired is somebody else's: its gate stays as it is until it is killed.
            if generation.host_id == self._host_id:
                self.admit(generation)

    def _note_away(self, now: float, error: StoreUnavailable) -> None:
        if not self.away:
            self.figures.note_away(now)
            away = event(Event.DATABASE_AWAY, why=str(error))
            log.warning("the database is away (%s); results are kept, nothing new is claimed", error, extra=away)

    def _ask_for_server(self, now: float) -> None:
        away_since = self.figures.away_since
        if self._revive is None or away_since is None or now < max(away_since, self._asked_at) + REVIVE_AFTER_S:
            return
        self._asked_at = now
        try:
            self._revive()
        except FarmError as error:
            log.error("the embedded PostgreSQL could not be brought up again: %s", error)

    def _note_back(self, now: float) -> None:
        if (away_since := self.figures.away_since) is not None:
            away_s = now - away_since
            log.warning("the database is back after %.1f s", away_s, extra=event(Event.DATABASE_BACK, away_s=away_s))


def _spans(lanes: Iterable[str]) -> dict[str, Span]:
    """Return the first and the last position of each, counted from 1, of names that stand together."""
    spans: dict[str, Span] = {}
    for position, lane in enumerate(lanes, 1):
        spans[lane] = spans.get(lane, (position, 0))[0], position
    return spans


def less_monotonic(database_us: int, sent_ns: int) -> int:
    """Return the database's clock less CLOCK_MONOTONIC, in microseconds, from an answer that has just come to a question of sent_ns."""
    # No server's clock stands before 2000, but a word of shared memory could not even say so.
    return max(0, database_us - (sent_ns + time.monotonic_ns()) // 2000)
