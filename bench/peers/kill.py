"""10,000 jobs of 4 ms while the worker is killed 20 times: what is stuck afterwards, what ran twice, what is lost. farm and its peers.

Every worker is started again at once, as systemd would; ten jobs of it run at once; the kills are spread over the run by what has been
done, each at a random moment. A job notes when it begins and when it has had its effect. What a peer is given is the means of recovery
of its own documentation; where a default would not come round within the minute that is watched, a shorter time, in its favour.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from random import Random

from bench.database import Server, own_server, query
from bench.environment import environment
from bench.peers import graphile, oban, pgboss, pgqueuer, procrastinate
from bench.peers.effects import Effects
from bench.peers.packages import PeerFailed
from bench.peers.service import Service
from bench.peers.victim import FARMS, Victim
from bench.report import Figure, print_report, print_table

JOBS = 10_000
KILLS = 20
SEED = 4
STALLED_S = 30.0
"""Where nothing happens for so long, no more is killed: the rest counts as stuck."""
KILLING_S_MAX = 180.0
"""After so long no more is killed either, so that all of this comes to an end."""
WATCHED_S = 60.0
"""From the last kill: what is not done by then is stuck."""
LATE_S_MAX = 0.1
"""A kill comes up to so long after the moment at which it is due, so that it hits anything."""
LOOK_EVERY_S = 0.02
ASK_EVERY_S = 0.25

VICTIMS: dict[str, Victim] = {
    one.name: one
    for one in (
        *FARMS, pgqueuer.VICTIM, procrastinate.VICTIM, oban.VICTIM, oban.SHORT, pgboss.VICTIM, graphile.VICTIM,
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Endured:
    """What became of the jobs of a queue whose worker was killed. Counts of jobs, but for kills and seconds."""

    kills: int
    stuck: int
    """Neither done nor failed when watching ended."""
    finished_twice: int
    """Recorded as succeeded more than once."""
    lost: int
    """Without effect, and the queue does not know that."""
    failed: int
    begun_again: int
    ran_twice: int
    """Had their effect more than once."""
    last_kill_s: float
    """From the first start of the worker."""
    all_done_s: float | None
    """From the last kill; None when that did not happen while it was watched."""


def measure_kills(victims: Sequence[Victim], failures: dict[str, str], missing: Mapping[str, str]) -> None:
    """Kill the workers of these and print what became of the jobs, the table at the end.

    failures: takes the one that fails, which is left out; missing: what cannot be tried on this machine, and why.
    """
    rows: list[tuple[Victim, Endured]] = []
    with own_server() as server:
        found = environment(server.dsn)
        print(f"\nkills: {JOBS:,} jobs of 4 ms, 10 at once, kill -9 {KILLS} times, seed {SEED}", flush=True)
        for victim in victims:
            try:
                endured = endure(server, victim)
            except PeerFailed as error:
                failures[victim.title] = str(error)
                print(f"{victim.title}: {error}", flush=True)
            else:
                rows.append((victim, endured))
                print(f"{victim.title}: {endured.stuck:,} stuck, last kill after {endured.last_kill_s:.0f} s", flush=True)
    print()
    untried = [(title, f"not measured: {why}", *["-"] * (len(HEAD) - 2)) for title, why in missing.items()]
    print_table(HEAD, [*(row(victim, endured) for victim, endured in rows), *untried])
    print(f"stuck: not done {WATCHED_S:.0f} s after the last kill; in brackets: what the peer has by default")
    details = {victim.name: {"title": victim.title, "recovery": victim.recovery, **asdict(endured)} for victim, endured in rows}
    print_report("kills", figures(rows), environment=found, details=details | {"failures": dict(failures), "missing": dict(missing)})


HEAD = (
    "queue", "recovery", "kills", "stuck", "finished twice", "lost", "failed", "begun again", "had effect twice", "kills took",
    "all done after",
)  # fmt: skip


def row(victim: Victim, endured: Endured) -> tuple[str, ...]:
    """Return a row of the table."""
    counts = (endured.stuck, endured.finished_twice, endured.lost, endured.failed, endured.begun_again, endured.ran_twice)
    done = "never seen" if endured.all_done_s is None else f"{endured.all_done_s:.1f} s"
    return (victim.title, victim.recovery, str(endured.kills), *(f"{one:,}" for one in counts), f"{endured.last_kill_s:.0f} s", done)


def figures(rows: Sequence[tuple[Victim, Endured]]) -> list[Figure]:
    """Return what farm must reach: nothing stuck, finished twice or lost."""
    return [
        Figure(name=f"{victim.title}: {word}", value=count, unit="jobs", must=0, aim=0)
        for victim, endured in rows
        if victim.store == "farm"
        for word, count in (("stuck", endured.stuck), ("finished twice", endured.finished_twice), ("lost", endured.lost))
    ]


def endure(server: Server, victim: Victim, *, jobs: int = JOBS, kills: int = KILLS) -> Endured:
    """Let a queue work on numbered jobs and kill its worker on the way. Raises PeerFailed."""
    effects = Effects(server.home.with_name("effects"))
    fill: Callable[[str, int], None] = partial(_fill, victim, effects.path)
    with server.database(jobs=jobs, owner=f"killed_{victim.name}", fill=fill) as dsn, tempfile.TemporaryDirectory() as logs:
        began = time.monotonic()
        with Service(victim.launch(dsn, server.home, effects.path), log=Path(logs, "worker.log")) as service:
            killed = _kill(service, victim, effects, jobs, kills)
            last_kill = time.monotonic()
            all_done = _watch(service, partial(_is_done, dsn, victim, effects, jobs), last_kill + WATCHED_S)
        # The worker is ended before anything is counted, so that records and effects are of one moment.
        return judge(
            jobs,
            effects,
            unfinished=query(dsn, f"unfinished_{victim.store}"),
            finished_twice=query(dsn, f"twice_{victim.store}")[0][0],
            kills=killed,
            last_kill_s=last_kill - began,
            all_done_s=None if all_done is None else all_done - last_kill,
        )


def judge(
    jobs: int,
    effects: Effects,
    *,
    unfinished: Sequence[tuple[int, bool]],
    finished_twice: int,
    kills: int,
    last_kill_s: float,
    all_done_s: float | None,
) -> Endured:
    """Compare what the jobs noted with what the queue knows. unfinished: number, and whether it failed."""
    began, ended = effects.read()
    failed = {number for number, at_end in unfinished if at_end}
    stuck = {number for number, _ in unfinished} - failed
    return Endured(
        kills=kills,
        stuck=len(stuck),
        finished_twice=finished_twice,
        lost=len(set(range(jobs)) - set(ended) - stuck - failed),
        failed=len(failed),
        begun_again=sum(count > 1 for count in began.values()),
        ran_twice=sum(count > 1 for count in ended.values()),
        last_kill_s=last_kill_s,
        all_done_s=all_done_s,
    )


def _fill(victim: Victim, effects: Path, dsn: str, jobs: int) -> None:
    victim.fill(dsn, jobs, effects)


def _kill(service: Service, victim: Victim, effects: Effects, jobs: int, kills: int) -> int:
    """Kill as often, evenly over the run; returns how often it was, which is less when nothing happens any more."""
    random = Random(SEED)
    until = time.monotonic() + KILLING_S_MAX
    for number in range(kills):
        if not _wait_runs(service, effects, jobs * (number + 1) / (kills + 1), until):
            return number
        time.sleep(random.uniform(0, LATE_S_MAX))
        service.kill(victim.choose(service.pid, random))
    return kills


def _wait_runs(service: Service, effects: Effects, runs: float, until: float) -> bool:
    """Wait until about so many jobs ran; False at the deadline, or when no job moves for STALLED_S."""
    seen, since = -1.0, time.monotonic()
    while (now := effects.runs()) < runs:
        service.look()
        if now != seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() - since > STALLED_S:
            return False
        if time.monotonic() > until:
            return False
        time.sleep(LOOK_EVERY_S)
    return True


def _watch(service: Service, is_done: Callable[[], bool], until: float) -> float | None:
    """Wait until all is done, keeping the worker running; returns when that was, or None at the deadline."""
    while (asked := time.monotonic()) < until:
        if is_done():
            return asked
        service.look()
        time.sleep(ASK_EVERY_S)
    return None


def _is_done(dsn: str, victim: Victim, effects: Effects, jobs: int) -> bool:
    """Say whether the queue has nothing left to do, and each job that did not fail had its effect: what is not to be seen may come back."""
    unfinished = query(dsn, f"unfinished_{victim.store}")
    return all(at_end for _, at_end in unfinished) and len(effects.read()[1]) + len(unfinished) >= jobs
