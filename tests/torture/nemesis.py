"""Strikes after the plan, and starts again who has died, as an init system would. What could not strike is not counted."""

from __future__ import annotations

import heapq
import random
import re
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import psycopg

from tests.process import crew
from tests.proxy import Hole
from tests.servers import Server
from tests.torture.host import SUBWORKER, WRITER, ZYGOTE, Host
from tests.torture.plan import Blow, Strike, choose_failpoint
from tests.torture.recovery import Recoveries
from tests.torture.reins import GIVEN, Reins
from tests.torture.workload import now

TICK_S = 0.01
TRIES, TRY_AGAIN_S = 20, 0.25
"""How often, and when, to strike again at somebody who is not there yet."""
BOOT_SHARE = 0.2
"""Supervisors and writers that are killed whatever they are doing; the others when there are subworkers."""
START_AGAIN_S = 0.3
"""Pause after a supervisor that could not start."""
ARMED_SHARE = 0.7
"""Starts with a failpoint among all."""
DOWN_S = 3.5
"""A lost host stays away for longer than its lease and a round of reaping."""
FAILED = re.compile(r"mistake in farm itself|Traceback|had to be given up|cannot be committed, and are kept")


class Kill(NamedTuple):
    """A kill of a process that may have run a job."""

    at: float
    pid: int


class Struck(NamedTuple):
    """A strike that hit, from its begin to its end."""

    begun: float
    ended: float
    blow: Blow


@dataclass(frozen=True, slots=True, order=True)
class Undo:
    """The end of a fault that lasts."""

    at: float
    undo: Callable[[], object] = field(compare=False)


@dataclass(frozen=True, slots=True, order=True)
class Again:
    """A strike that found nobody to strike."""

    at: float
    strike: Strike
    tries: int


ARMED = (Blow.CUT_AFTER, Blow.CUT_BEFORE, Blow.CUT_CLAIM, Blow.DELAY)
"""Done by a proxy when such a request comes; it counts them."""
LASTING = (Blow.HOLE, Blow.DEAF, Blow.STOP_SUPERVISOR, Blow.STOP_HOST, Blow.STOP_WRITER, Blow.STOP_ZYGOTE)
DISTURBING = (*LASTING, Blow.KILL_SUPERVISOR, Blow.LOSE_HOST, Blow.RESTART_SERVER)
"""What delays the recovery from anything else."""


class Nemesis:
    """One thread, the main one. `fired` counts what has really struck."""

    def __init__(
        self,
        *,
        hosts: Sequence[Host],
        server: Server,
        dsn: str,
        rng: random.Random,
        recoveries: Recoveries,
        reins: Reins,
        failpoints: bool,
    ) -> None:
        """failpoints: arm one at every other start of a supervisor."""
        self.fired: Counter[Blow] = Counter()
        self.exits: Counter[str] = Counter()
        """Ends of supervisors that nobody had killed, by exit code and last words."""
        self.struck: list[Struck] = []
        self.problems: list[str] = []
        self.subworker_kills: list[Kill] = []
        self.supervisor_kills: list[Kill] = []
        self._hosts = hosts
        self._server = server
        self._dsn = dsn
        self._rng = rng
        self._recoveries = recoveries
        self._reins = reins
        self._undo: list[Undo] = []
        self._again: list[Again] = []
        self._stopped: set[int] = set()
        self._arming = failpoints

    def run(self, plan: Sequence[Strike], seconds: float) -> None:
        """Carry out the plan for so many seconds.

        The plan's clock goes as fast as hosts work: where all are down it stands still, since there is nobody to be struck, and on a
        machine that is slow, or has other things to do, they would be struck down again and again before they have begun.
        """
        last = begun = time.monotonic()
        at_s = 0.0
        strikes = deque(plan)
        while strikes and last - begun < seconds:
            time.sleep(TICK_S)
            passed_s, last = time.monotonic() - last, time.monotonic()
            at_s += passed_s * sum(bool(host.children(SUBWORKER)) for host in self._hosts) / len(self._hosts)
            self._tend()
            while strikes and strikes[0].at_s <= at_s:
                self._carry_out(strikes.popleft())

    def _carry_out(self, strike: Strike, tries: int = TRIES) -> None:
        """Strike now, or, if there is nobody to be struck, a little later."""
        if strike.blow in GIVEN:
            self._reins.strike(strike)
            return
        at = now()
        if self._strike(strike):
            self.fired[strike.blow] += 1
            self.struck.append(Struck(at, now() + (strike.lasts_s if strike.blow in LASTING else 0.0), strike.blow))
        elif tries and strike.blow not in ARMED:
            heapq.heappush(self._again, Again(time.monotonic() + TRY_AGAIN_S, strike, tries - 1))

    def calm(self) -> None:
        """Stop all faults. Supervisors that were started with a failpoint are started anew without."""
        self._arming = False
        self._reins.calm()
        self._again.clear()
        for one in self._undo:
            one.undo()
        self._undo.clear()
        self._server.start()
        for host in self._hosts:
            for rule in (host.cut_after, host.cut_before, host.cut_claim, host.delay):
                rule.disarm()
            host.proxy.heal()
            host.down_until = 0.0
            self._resume(host)
            if host.starts[-1].failpoint and host.farm.running:
                host.farm.kill()

    def tend_until(self, done: Callable[[], bool], wait_s: float) -> bool:
        """Keep the farms up until something is so; False if it took too long."""
        deadline = time.monotonic() + wait_s
        while not done():
            if time.monotonic() > deadline:
                return False
            self._tend()
            time.sleep(0.05)
        return True

    def collect(self) -> None:
        """Count what the proxies did, and what farms did as they were told."""
        for blow, rules in (
            (Blow.CUT_AFTER, [host.cut_after for host in self._hosts]),
            (Blow.CUT_BEFORE, [host.cut_before for host in self._hosts]),
            (Blow.CUT_CLAIM, [host.cut_claim for host in self._hosts]),
            (Blow.DELAY, [host.delay for host in self._hosts]),
        ):
            self.fired[blow] = sum(rule.fired for rule in rules)
        self.fired[Blow.RELOAD], self.fired[Blow.BAD_RELOAD] = self._reins.reloads()
        for blow in (Blow.PAUSE_LANE, Blow.PAUSE_QUEUE):
            self.fired[blow] = self._reins.answered[blow]

    def _tend(self) -> None:
        while self._undo and self._undo[0].at <= time.monotonic():
            heapq.heappop(self._undo).undo()
        while self._again and self._again[0].at <= time.monotonic():
            again = heapq.heappop(self._again)
            self._carry_out(again.strike, again.tries)
        for host in self._hosts:
            host.note_counts()
            if not host.farm.running and time.monotonic() >= host.down_until:
                self._start(host)
            elif host.farm.running and self._rng.random() < 0.01:
                self._resume_all_but_ours(host)

    def _start(self, host: Host) -> None:
        if host.starts:
            self._note_end(host)
        host.start(choose_failpoint(self._rng) if self._arming and self._rng.random() < ARMED_SHARE else "")

    def _note_end(self, host: Host) -> None:
        code = host.farm.exit_code
        log = host.farm.log
        if FAILED.search(log):
            self.problems.append(f"{host.name}: {host.farm.log_path} holds an error of farm's own")
        if code is not None and code >= 0:
            words = re.sub(r"\S*\d\S*", "#", log.splitlines()[-1] if log else "")
            self.exits[f"{code}: {words[:120]}"] += 1
            host.down_until = 0.0
            time.sleep(START_AGAIN_S)

    def _strike(self, strike: Strike) -> bool:
        host = self._hosts[strike.host]
        others = [*self._hosts[strike.host :], *self._hosts[: strike.host]]
        match strike.blow:
            case Blow.KILL_SUBWORKER:
                return any(self._kill_subworker(one, strike.pick) for one in others)
            case Blow.KILL_WRITER:
                return any(self._kill_writer(one, strike.pick) for one in others)
            case Blow.KILL_ZYGOTE:
                return any(crew.kill(pid) for pid in host.children(ZYGOTE))
            case Blow.KILL_SUPERVISOR:
                return self._kill_supervisor(host, strike.pick)
            case Blow.STOP_SUBWORKER:
                return self._stop(_picked(host.children(SUBWORKER), strike.pick), strike.lasts_s)
            case Blow.STOP_WRITER:
                return self._stop(_picked(host.children(WRITER), strike.pick), strike.lasts_s)
            case Blow.STOP_ZYGOTE:
                return self._stop(_picked(host.children(ZYGOTE), strike.pick), strike.lasts_s)
            case Blow.STOP_SUPERVISOR:
                return self._stop([host.farm.pid] if host.farm.running else [], strike.lasts_s)
            case Blow.STOP_HOST:
                return self._stop_host(host, strike.lasts_s)
            case Blow.LOSE_HOST:
                return self._lose(host)
            case Blow.RESTART_SERVER:
                return self._restart_server()
            case Blow.KILL_BACKEND:
                return self._kill_backend()
            case Blow.PRUNE:
                return self._prune()
            case _:
                return self._strike_connection(host, strike)

    def _strike_connection(self, host: Host, strike: Strike) -> bool:
        match strike.blow:
            case Blow.CUT_AFTER:
                host.cut_after.arm(1 - (host.cut_after.left or 0))
            case Blow.CUT_BEFORE:
                host.cut_before.arm(1 - (host.cut_before.left or 0))
            case Blow.CUT_CLAIM:
                host.cut_claim.arm()
            case Blow.DELAY:
                host.delay.delay_s = strike.lasts_s
                host.delay.arm()
            case Blow.RESET:
                return (
                    host.proxy.reset(self._rng.choice(("farm writer", "farm claims", "farm heartbeat", "farm upkeep", "farm listen", "")))
                    > 0
                )
            case Blow.HOLE | Blow.DEAF:
                host.proxy.lose(Hole.BOTH if strike.blow is Blow.HOLE else Hole.ANSWERS)
                self._after(strike.lasts_s, partial(host.proxy.lose, Hole.NONE))
                return True
        return False

    def _prune(self) -> bool:
        """Have new jobs go into another partition, and the older ones become one, of which everything stays: hosts go on with it."""
        with suppress(psycopg.Error), psycopg.connect(self._dsn, autocommit=True, connect_timeout=2) as connection:
            connection.execute("SELECT farm.begin_next_partition('0 s')")
            begun = connection.execute("""
                SELECT farm.begin_pruning(min(p.number), max(p.number), '-infinity', '-infinity', '-infinity')
                FROM farm.partition AS p, farm.job_id_seq AS s
                WHERE p.upper_id <= s.last_value + 1""").fetchone()
            return begun == (True,)
        return False

    def _kill_subworker(self, host: Host, pick: float) -> bool:
        for pid in _picked(host.children(SUBWORKER), pick):
            if crew.kill(pid):
                self.subworker_kills.append(Kill(now(), pid))
                return True
        return False

    def _kill_writer(self, host: Host, pick: float) -> bool:
        if pick > BOOT_SHARE and not host.children(SUBWORKER):
            return False
        before, pid = host.writer_counts(), host.farm.pid
        struck = any(crew.kill(writer) for writer in host.children(WRITER))
        if struck and before is not None:

            def back() -> bool | None:
                if host.farm.pid != pid or not host.farm.running:
                    return None
                after = host.writer_counts()
                return after is not None and after[0] != before[0] and after[1].commits > 0

            self._recoveries.expect("writer killed: next commit", back)
        return struck

    def _kill_supervisor(self, host: Host, pick: float) -> bool:
        if not host.farm.running or (pick > BOOT_SHARE and not host.children(SUBWORKER)):
            return False
        self.supervisor_kills.append(Kill(now(), host.farm.pid))
        host.farm.kill()
        return True

    def _lose(self, host: Host) -> bool:
        host_id = host.host_id
        if not host_id or not all(one.farm.running for one in self._hosts):
            # Somebody must be there to take over.
            return False
        host.lose()
        host.farm.wait()
        host.down_until = time.monotonic() + DOWN_S
        with suppress(psycopg.Error), psycopg.connect(self._dsn, autocommit=True, connect_timeout=2) as connection:
            if connection.execute(b"SELECT 1 FROM farm.lease WHERE id >> 32 = %s LIMIT 1", (host_id,)).fetchone():
                self._recoveries.expect("host lost: its jobs are taken over", partial(self._has_no_lease, host_id))
        return True

    def _has_no_lease(self, host_id: int) -> bool:
        with psycopg.connect(self._dsn, autocommit=True, connect_timeout=2) as connection:
            return connection.execute(b"SELECT 1 FROM farm.lease WHERE id >> 32 = %s LIMIT 1", (host_id,)).fetchone() is None

    def _restart_server(self) -> bool:
        self._server.restart("immediate")
        before = {host: host.writer_counts() for host in self._hosts}

        def back() -> bool:
            after = {host: host.writer_counts() for host in self._hosts}
            return any(counts is not None and counts[1].commits > 0 and counts != before[host] for host, counts in after.items())

        self._recoveries.expect("PostgreSQL restarted: next commit", back)
        return True

    def _kill_backend(self) -> bool:
        with suppress(psycopg.Error), psycopg.connect(self._dsn, autocommit=True, connect_timeout=2) as connection:
            row = connection.execute(
                b"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'farm %' ORDER BY random() LIMIT 1"
            ).fetchone()
            return row is not None and bool(row[0])
        return False

    def _stop(self, pids: Sequence[int], lasts_s: float) -> bool:
        for pid in pids:
            if pid not in self._stopped and crew.kill(pid, signal.SIGSTOP):
                self._stopped.add(pid)
                self._after(lasts_s, partial(self._continue, pid))
                return True
        return False

    def _stop_host(self, host: Host, lasts_s: float) -> bool:
        """Stop everything, as a machine that sleeps: it wakes up past its lease, with outcomes that are nobody's any more."""
        if not host.children(SUBWORKER) or not all(one.farm.running for one in self._hosts):
            return False
        pids = [host.farm.pid, *(pid for pid in host.everybody() if pid != host.farm.pid)]
        return sum(self._stop([pid], lasts_s) for pid in pids) > 0

    def _continue(self, pid: int) -> None:
        self._stopped.discard(pid)
        crew.kill(pid, signal.SIGCONT)

    def _resume_all_but_ours(self, host: Host) -> None:
        """Continue those whom a failpoint has stopped."""
        for pid in [host.farm.pid, *host.children("farm")]:
            if pid not in self._stopped:
                crew.kill(pid, signal.SIGCONT)

    def _resume(self, host: Host) -> None:
        self._stopped.clear()
        self._resume_all_but_ours(host)
        for pid in host.everybody():
            crew.kill(pid, signal.SIGCONT)

    def _after(self, wait_s: float, undo: Callable[[], object]) -> None:
        heapq.heappush(self._undo, Undo(time.monotonic() + wait_s, undo))


def _picked(pids: Sequence[int], pick: float) -> list[int]:
    return [pids[int(pick * len(pids))]] if pids else []
