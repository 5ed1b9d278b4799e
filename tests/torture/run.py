"""One run of the torture, from an empty database to the verdict."""

from __future__ import annotations

import random
import re
import shutil
import signal
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from farm.store import invariants
from farm.store.session import Session
from tests.leaks import home_left
from tests.servers import Server, available, majors_under_test
from tests.torture import checks
from tests.torture.checks import History, Result
from tests.torture.host import Host
from tests.torture.nemesis import DISTURBING, Nemesis
from tests.torture.plan import Strike, make_plan
from tests.torture.recovery import Recoveries, Taken
from tests.torture.reins import Reins
from tests.torture.workload import HUNGRY, KINDS, Filed, Producer, waiting

HOSTS = 2
BACKLOG = 400
DRAIN_S = 120.0
SETTLE_S = 2.0
"""So long after a fault the next one is not alone."""
SUCCESSORS = re.compile(r"\) has a successor: (.+)")
SENT_BACK = re.compile(r"and (\d+) more: timeout of")
RESULTS = b"SELECT job_id, status, attempt, lease_id, value, extract(epoch FROM finished_at)::float8 FROM farm.result"


@dataclass(kw_only=True)
class Report:
    """Everything that a run has shown."""

    seed: int
    seconds: float
    violations: list[str] = field(default_factory=list)
    fired: dict[str, int] = field(default_factory=dict)
    failpoints: Counter[str] = field(default_factory=Counter)
    exits: dict[str, int] = field(default_factory=dict)
    recoveries: dict[str, list[float]] = field(default_factory=dict)
    """Seconds, of each sort, whatever else was going on."""
    alone: dict[str, list[float]] = field(default_factory=dict)
    """Those during which nothing else was done that would delay them."""
    not_back: Counter[str] = field(default_factory=Counter)
    """What was not as before within a minute, for whatever was done in that time."""
    ended: Counter[str] = field(default_factory=Counter)
    unknown: int = 0
    """Jobs whose enqueue had no answer."""
    cancels: int = 0
    retries: int = 0
    starts: int = 0
    again: int = 0
    """Runs beyond those that jobs have brought about themselves."""
    blameless: int = 0
    """Attempts used though no line tells of a start: killed between the store that says so and the job's first instruction."""
    sent_back: int = 0
    """Of these: jobs that ran beside one that had to be ended for its time."""
    kills: int = 0
    asked: Counter[str] = field(default_factory=Counter)
    """What farms did as they were told while they ran, beside what is in `fired`."""
    attempts: Counter[str] = field(default_factory=Counter)
    """Attempts that did not succeed, by their ends."""
    shown: Counter[str] = field(default_factory=Counter)
    """Jobs filed that take memory, or tell how far they are, by kind."""
    dropped: Counter[str] = field(default_factory=Counter)
    drain_s: float = 0.0


def torture(
    *,
    seed: int,
    seconds: float,
    seconds_max: float | None = None,
    only: Sequence[str] = (),
    keep: Path | None = None,
    server: Server | None = None,
) -> Report:
    """Carry out a plan of so many seconds, and then wait until everything has ended.

    seconds_max: how long it may take where hosts are slow; by default, no longer. only: parts of the names of what is done. keep: a
    directory for logs; without, one is made, and kept if something is wrong. server: one that may be restarted at will.
    """
    report = Report(seed=seed, seconds=seconds_max or seconds)
    directory = Path(tempfile.mkdtemp(prefix="farm-torture-", dir="/tmp")) if keep is None else keep
    with ExitStack() as stack:
        if server is None:
            server = Server(available()[majors_under_test()[0]])
            stack.callback(server.close)
        dsn = stack.enter_context(server.database())
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="farm-home-", dir="/tmp")))
        home.chmod(0o755)
        _Run(report, server, dsn, home, directory, failpoints=not only or "failpoints" in only).carry_out(
            make_plan(seed, seconds, HOSTS, only)
        )
    if report.violations:
        report.violations.append(f"logs, acknowledged ids and starts are kept in {directory}")
    elif keep is None:
        shutil.rmtree(directory)
    return report


class _Run:
    def __init__(self, report: Report, server: Server, dsn: str, home: Path, directory: Path, *, failpoints: bool) -> None:
        self._report = report
        self._dsn = dsn
        self._home = home
        self._directory = directory
        rng = random.Random(report.seed)
        self._effects = directory / "starts"
        self._recoveries = Recoveries()
        self._hosts = [Host(name=f"host{n}", home=home, directory=directory, dsn=dsn, seed=rng.getrandbits(32)) for n in range(HOSTS)]
        self._producer = Producer(
            dsn=dsn, effects=self._effects, acked=directory / "acked", rng=random.Random(rng.random()), backlog=BACKLOG
        )
        self._reins = Reins(hosts=self._hosts, dsn=dsn, rng=random.Random(rng.random()))
        self._nemesis = Nemesis(
            hosts=self._hosts,
            server=server,
            dsn=dsn,
            rng=random.Random(rng.random()),
            recoveries=self._recoveries,
            reins=self._reins,
            failpoints=failpoints,
        )
        self._session = Session(dsn, application_name="torture", deadline_s=60)
        self._seen: dict[int, Result] = {}

    def carry_out(self, plan: Sequence[Strike]) -> None:
        """Start, strike, calm down, drain, judge."""
        report = self._report
        try:
            self._producer.start()
            self._nemesis.run(plan, report.seconds)
            self._producer.stop()
            self._see_some()
            begun = time.monotonic()
            self._nemesis.calm()
            if not self._nemesis.tend_until(lambda: self._reins.at_rest, DRAIN_S):
                report.violations.append(f"a farm takes no configuration, or does not let go on what was paused, for {DRAIN_S:g} s")
            if not self._nemesis.tend_until(self._all_ended, DRAIN_S):
                report.violations.append(f"stuck: {waiting(self._session)} jobs have not ended {DRAIN_S:g} s after the last fault")
            report.drain_s = time.monotonic() - begun
            self._leave()
        finally:
            self._recoveries.stop()
            self._reins.stop()
            for host in self._hosts:
                host.close()
        self._judge()
        report.violations += home_left(self._home, rings_may_stay=False)
        self._look_for_backends()
        self._session.close()

    def _all_ended(self) -> bool:
        # One that has only just been started knows no signal yet: told to leave, it would die of that.
        return all(host.farm.running and host.farm.log_lines("ready$") for host in self._hosts) and waiting(self._session) == 0

    def _leave(self) -> None:
        for host in self._hosts:
            if host.farm.running:
                host.farm.signal(signal.SIGTERM)
        for host in self._hosts:
            try:
                code = host.farm.wait()
            except AssertionError:
                self._report.violations.append(f"{host.name} does not leave")
                continue
            if code != 0:
                self._report.violations.append(f"{host.name} left with exit code {code}: {host.farm.log[-300:]}")
            if host.everybody():
                self._report.violations.append(f"{host.name} left processes behind: {host.everybody()}")
            if host.farm.spilled:
                self._report.violations.append(f"{host.name} left spill files behind: {host.farm.spilled}")

    def _see_some(self) -> None:
        """Read results that are there now: what has ended must not end again."""
        with psycopg.connect(self._dsn) as connection:
            for row in connection.execute(RESULTS):
                self._seen[row[0]] = Result(*row)

    def _judge(self) -> None:
        report, nemesis = self._report, self._nemesis
        nemesis.collect()
        report.violations += nemesis.problems + self._producer.errors
        report.violations += [f"farm check: {line}" for line in invariants.check(self._session)]
        history = self._history(self._producer.filed)
        report.violations += checks.judge(history, KINDS)
        self._count(history)

    def _history(self, filed: Sequence[Filed]) -> History:
        failures: defaultdict[int, list[str]] = defaultdict(list)
        with psycopg.connect(self._dsn) as connection:
            jobs = {row[0] for row in connection.execute("SELECT id FROM farm.job")}
            results = [Result(*row) for row in connection.execute(RESULTS)]
            for job_id, kind in connection.execute("SELECT job_id, kind FROM farm.failure ORDER BY job_id, attempt"):
                failures[job_id].append(kind)
        return History(filed, jobs, results, failures, checks.read_lines(self._effects), self._seen, self._producer.retried)

    def _count(self, history: History) -> None:
        report, nemesis = self._report, self._nemesis
        report.fired = {blow.value: nemesis.fired[blow] for blow in nemesis.fired}
        report.exits = dict(nemesis.exits)
        report.unknown = self._producer.unknown
        report.cancels, report.retries = self._producer.cancelled, len(self._producer.retried)
        report.starts = len(history.lines)
        report.asked.update({name: count for name, count in self._reins.answered.items() if name not in report.fired})
        report.asked["subworkers replaced by a successor"] = sum(len(SUCCESSORS.findall(host.farm.whole_log)) for host in self._hosts)
        report.attempts.update(kind for kinds in history.failures.values() for kind in kinds)
        report.shown.update(job.kind for job in history.filed if job.kind in (*HUNGRY, "tell"))
        report.again, report.blameless = checks.runs_again(history), checks.attempts_without_start(history)
        names = {1: "succeeded", 2: "failed", 3: "cancelled"}
        report.ended.update(names[result.status] for result in history.results)
        for host in self._hosts:
            report.sent_back += sum(map(int, SENT_BACK.findall(host.farm.whole_log)))
            report.failpoints.update(host.fired())
            for name in ("commits", "duplicate", "stale", "already", "unknown"):
                report.dropped[name] += host.count(name)
        taken = dict(self._recoveries.taken)
        report.not_back = Counter(self._recoveries.given_up)
        taken["subworker killed: its job runs again, or has ended"] = checks.next_starts(nemesis.subworker_kills, history)
        taken["supervisor killed and started again: next start of a job"] = self._supervisor_recoveries(history)
        for name, spans in taken.items():
            report.recoveries[name] = [span.seconds for span in spans]
            report.alone[name] = [span.seconds for span in spans if not self._disturbed(span)]
        report.kills = sum(count for blow, count in report.fired.items() if blow.startswith(("kill -9", "loss")))
        report.kills += sum(count for point, count in report.failpoints.items() if ":kill9" in point or ":exit" in point)

    def _disturbed(self, span: Taken) -> bool:
        """Say whether something else was done in that time, or shortly before."""
        return any(
            one.blow in DISTURBING
            and one.begun < span.ended
            and one.ended > span.begun - SETTLE_S
            and not one.begun <= span.begun <= one.ended
            for one in self._nemesis.struck
        )

    def _supervisor_recoveries(self, history: History) -> list[Taken]:
        taken = []
        for host in self._hosts:
            own = {start.pid for start in host.starts}
            lines = sorted((line.at, line.supervisor) for line in history.lines if line.supervisor in own)
            for at, pid in self._nemesis.supervisor_kills:
                if pid in own:
                    # An orphan may end its last job, under the number of a supervisor that is gone; it starts none.
                    later = next((start for start, supervisor in lines if start > at and supervisor != pid), None)
                    if later is not None:
                        taken.append(Taken(at, later))
        return taken

    def _look_for_backends(self) -> None:
        with psycopg.connect(self._dsn) as connection:
            left = connection.execute(
                "SELECT application_name FROM pg_stat_activity WHERE application_name LIKE 'farm %' AND datname = current_database()"
            ).fetchall()
        if left:
            self._report.violations.append(f"backends left in PostgreSQL: {[row[0] for row in left]}")
