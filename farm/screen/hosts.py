"""The whole farm as the database tells it: every host by its heartbeat, the queues by the count that hosts share."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from farm.answers.lanes import lanes_of, serves, troubles
from farm.errors import FarmError, StoreUnavailable
from farm.model import Depths, HorizonHolder
from farm.screen.deeds import Deeds, OpenSession
from farm.screen.model import DatabaseView, FarmState, Horizon, HostView, LaneView, Quantiles, QueueView, Snapshot
from farm.screen.troubles import horizon_hurts, horizon_notice, notices_of_queues
from farm.supervisor.upkeep.horizon import Since
from farm.supervisor.views.depths import DepthWatch

LOOK_S = 1.0
"""Between two looks at the database; snapshots in between show the last one, a little older."""
LEASE_S = 10.0
"""The default. A host that has not beaten for so long may be gone, and will be retired."""
ANSWER_S = 5.0
ANSWER_LOOK_S = 0.05


class HostsSource:
    """A Source for a farm that does not run on this machine, or for all of its hosts at once: small tables, once a second."""

    def __init__(self, open_session: OpenSession, *, database: str, version: str) -> None:
        """open_session: connects to the database; called lazily. database: its name, without a password."""
        self._deeds = Deeds(open_session)
        self._database = database
        self._version = version
        self._began = time.monotonic()
        self._since = Since()
        self._depths: DepthWatch | None = None
        self._look_at = float("-inf")
        self._looked_at = 0.0
        self._hosts: list[dict[str, Any]] = []
        self._holders: list[HorizonHolder] = []
        self._counted: Depths | None = None
        self._latency_s: float | None = None
        self._away_since: float | None = None

    def look(self, seen: Collection[str] | None = None) -> Snapshot:
        """Return how it stands, at most a second old. While the database is away: how it stood, and for how long it has been."""
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + LOOK_S
            try:
                self._read(now)
                self._away_since = None
            except StoreUnavailable:
                self._away_since = self._away_since if self._away_since is not None else now
        return self._snapshot(now)

    def job(self, job_id: int) -> dict[str, Any]:
        """Return all that is known of a job."""
        return self._deeds.job(job_id)

    def pause(self, lane: str) -> str:
        """Pause a lane on every living host that has it."""
        return self._ask("pause", lane)

    def resume(self, lane: str) -> str:
        """Let a lane go on, on every living host that has it."""
        return self._ask("resume", lane)

    def drain(self) -> str:
        """Refuse: which host is meant is for the command line to say."""
        raise FarmError("say which host is to leave: farm drain --host ID, or --all-hosts")

    def cancel(self, job_id: int) -> str:
        """Cancel one job."""
        return self._deeds.cancel(job_id)

    def retry(self, job_id: int) -> str:
        """Make a job ready again."""
        return self._deeds.retry(job_id)

    def close(self) -> None:
        """Close the connection."""
        self._deeds.close()

    def _read(self, now: float) -> None:
        # What speaks to databases takes as long to import as all the rest of a screen, which may be of this host and need none of it.
        from farm.store.depths import DepthStore
        from farm.store.reads import ReadStore
        from farm.store.upkeep import UpkeepStore

        session = self._deeds.session
        if self._depths is None:
            self._depths = DepthWatch(store=DepthStore(session), wake=lambda: None)
        begun = time.monotonic()
        self._hosts = ReadStore(session).hosts()
        self._latency_s = time.monotonic() - begun
        self._holders = self._since.note(UpkeepStore(session).horizon(), now)
        self._counted = self._depths.look()
        self._depths.step(time.monotonic())
        self._counted = self._depths.look()
        self._looked_at = now

    def _snapshot(self, now: float) -> Snapshot:
        age_s = now - self._looked_at
        live = [host for host in self._hosts if host["state"] == "live"]
        held = next((holder for holder in self._holders if horizon_hurts(holder.age_s or 0.0, 0.0, idle=holder.idle)), None)
        horizon = None if held is None else Horizon(holder=str(held), age_s=(held.age_s or 0.0) + age_s)
        queues = queue_views(self._counted, _paused(live), live)
        notices = [] if horizon is None else [horizon_notice(horizon.holder, horizon.age_s)]
        if self._away_since is None and not live:
            notices.insert(0, "no host is live: `farm start CONFIG` makes one")
        away_s = None if self._away_since is None else now - self._away_since
        state = FarmState.AWAY if away_s is not None else FarmState.RUNNING if live else FarmState.LOST
        return Snapshot(
            at=datetime.now(UTC).astimezone(),
            instance="",
            host="",
            version=self._version,
            state=state,
            up_s=now - self._began,
            database=DatabaseView(name=self._database, latency_s=self._latency_s, away_s=away_s, horizon=horizon),
            memory_bytes=sum(host["memory_bytes"] for host in live),
            lanes=tuple(_lanes(live, queues)),
            hosts=tuple(host_views(self._hosts, age_s=age_s, lease_s=LEASE_S)),
            queues=queues,
            notices=(*notices, *troubles(live), *notices_of_queues(queues)),
        )

    def _ask(self, do: str, lane: str) -> str:
        """Ask every living host that has a lane of this name, `lane` or `host/lane`, and wait for the answers for a while."""
        from farm.store.requests import RequestStore

        where, _, name = lane.rpartition("/")
        hosts = [host["id"] for host in self._hosts if host["state"] == "live" and name in host["lanes"] and where in ("", str(host["id"]))]
        if not hosts:
            raise FarmError(f"no living host has a lane {lane!r}")
        store = RequestStore(self._deeds.session)
        asked = store.make(hosts, do, {"lanes": [name]}, made_by="farm top")
        answers: dict[int, dict[str, Any]] = {}
        deadline = time.monotonic() + ANSWER_S
        while len(answers) < len(asked) and time.monotonic() < deadline:
            answers = store.answers(list(asked))
            time.sleep(ANSWER_LOOK_S)
        if len(answers) < len(asked):
            store.withdraw(list(asked))
        for answer in answers.values():
            if "error" in answer:
                raise FarmError(str(answer["error"]))
        silent = len(asked) - len(answers)
        said = "; ".join(dict.fromkeys(line for answer in answers.values() for line in answer.get("said", ())))
        if not said:
            raise FarmError(f"no answer within {ANSWER_S:g} s, so nothing is asked any more")
        return f"{said}; {silent} of {len(asked)} hosts have not answered" if silent else said


def host_views(hosts: Iterable[Mapping[str, Any]], *, age_s: float, lease_s: float) -> list[HostView]:
    """Return the hosts as screens show them, from rows as ReadStore.hosts has them; age_s: how old those are."""
    return [_host(host, max(0.0, host["beat_age_s"] + age_s), lease_s) for host in hosts]


def queue_views(depths: Depths | None, paused: frozenset[str], hosts: Sequence[dict[str, Any]]) -> tuple[QueueView, ...]:
    """Return the queues as screens show them.

    paused: those that somebody claims nothing of. hosts: all of them, as ReadStore.hosts has them; none if they are not known.
    """
    if depths is None:
        return ()
    age_s = depths.age_s or 0.0
    lanes = lanes_of(hosts)
    return tuple(
        QueueView(
            name=queue.queue,
            ready=max(queue.ready, 10_001) if queue.more else queue.ready,
            oldest_s=None if queue.oldest_s is None else max(0.0, queue.oldest_s + age_s),
            paused=queue.queue in paused,
            unserved=bool(lanes) and not any(serves(lane, queue.queue) for lane in lanes),
        )
        for queue in depths.queues
    )


def waiting(queues: Sequence[QueueView], chain: Sequence[str]) -> tuple[int, float | None]:
    """Return how many jobs a lane with this chain may take, and how long the first of them has waited."""
    taken = [queue for queue in queues if "*" in chain or queue.name in chain]
    ages_s = [queue.oldest_s for queue in taken if queue.oldest_s is not None]
    return sum(queue.ready for queue in taken), max(ages_s, default=None)


def _host(host: Mapping[str, Any], beat_s: float, lease_s: float) -> HostView:
    state = str(host["state"])
    lost = state == "live" and beat_s > lease_s
    trouble = "has not beaten for longer than a lease" if lost else "; ".join(troubles([dict(host)]))
    return HostView(
        name=str(host["name"]),
        instance=str(host["instance"]),
        state="lost" if lost else state,
        beat_s=beat_s,
        # What a host that has left told last says nothing of now.
        running=0 if state == "retired" else int(host["running"]),
        capacity=int(host["capacity"]),
        memory_bytes=int(host["memory_bytes"]),
        version=str(host["version"]),
        lanes=tuple(map(str, host["lanes"])),
        trouble=trouble,
    )


def _lanes(live: Sequence[dict[str, Any]], queues: Sequence[QueueView]) -> Iterable[LaneView]:
    """Return the lanes of all hosts, as far as heartbeats tell: `host/lane` where there are several hosts."""
    for lane in lanes_of(live):
        told, state = lane.lane, lane.lane["state"]
        chain = tuple(map(str, told.get("queues", ())))
        subworkers, concurrency = int(told.get("subworkers", 0)), int(told.get("concurrency", 1))
        queued, oldest_s = waiting(queues, chain)
        busy = state.get("busy")
        held_by = tuple(map(str, state.get("held_by", ())))
        yield LaneView(
            name=lane.name if len(live) == 1 else f"{lane.host['id']}/{lane.name}",
            queues=chain,
            capacity=subworkers * concurrency,
            # The share of its slots' time says more of short jobs than how many ran at the very moment of the beat.
            running=round((busy or 0) * subworkers * concurrency / 100),
            subworkers=subworkers,
            serving=int(state.get("serving", 0)),
            stolen=None,
            buffered=int(state.get("buffered", 0)),
            queued=queued,
            oldest_s=oldest_s,
            rates=(),
            rate=None,
            queue_time=Quantiles(),
            run_time=Quantiles(),
            failure_share=None,
            occupancy=None if busy is None else busy / 100,
            paused="paused" in held_by,
            held_by=held_by,
        )


def _paused(hosts: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    return frozenset(str(queue) for host in hosts for queue in host["paused_queues"])
