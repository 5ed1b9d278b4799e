"""What `farm doctor` makes of what it has measured: one case for each thing that it can say. And the measuring, on made-up machines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import pytest

from farm.doctor import database, host, measures
from farm.doctor.database import Pooling
from farm.doctor.finding import Finding, Level
from farm.doctor.host import Needs
from farm.doctor.server import look_for_pooler
from farm.model import HorizonHolder
from farm.store.session import Session

T = TypeVar("T")
OK, ADVICE, WRONG = Level.OK, Level.ADVICE, Level.WRONG
GB = 10**9
NEEDS = Needs(subworkers=8, rings_bytes=100 << 20, descriptors=2000, processes=20, jobs_bytes=4 * GB, spill_bytes=3 * GB)
SOUND = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "autovacuum": "on", "autovacuum_naptime": "60"}
SESSION = HorizonHolder("session", 4711, "psql of ada", "idle in transaction", 4000.0, 5000)
SLOT = HorizonHolder("slot", None, "copy_1", "nobody reads it", None, 2_000_000)
PREPARED = HorizonHolder("prepared", None, "tx-9 of ada", "", 900.0, 10)


def pooling(is_pooled: bool, changes: bool, hears: bool | None, *, said: bool = False, listen: bool = False) -> Finding:
    return database.judge_pooling(Pooling(is_pooled=is_pooled, changes=changes, hears=hears), said_pooled=said, has_listen=listen)


CASES: list[tuple[Finding, Level, str, str]] = [
    (host.judge_system("Darwin", "", "arm64"), WRONG, "Darwin", "needs Linux"),
    (host.judge_system("Linux", "", "x86_64"), WRONG, "another C library", "glibc"),
    (host.judge_system("Linux", "glibc", "x86_64"), OK, "glibc", ""),
    (host.judge_kernel("5.2.0", "x86_64", has_pidfd=False), WRONG, "no pidfd", "5.3"),
    (host.judge_kernel("6.11.9-amd64", "x86_64", has_pidfd=True), ADVICE, "no short turns", "6.12"),
    (host.judge_kernel("6.12+bpo", "riscv64", has_pidfd=True), ADVICE, "riscv64", "later"),
    (host.judge_kernel("10.0.1", "aarch64", has_pidfd=True), OK, "10.0.1", ""),
    (host.judge_cores(2, 8, 8), ADVICE, "2 of 8 CPUs", "cpu.max"),
    (host.judge_cores(4, 4, 8), OK, "affinity", ""),
    (host.judge_memory(2 * GB, 8 * GB, 8 * GB, NEEDS), WRONG, "by a control group, of 8 GB", "less memory"),
    (host.judge_memory(8 * GB, 8 * GB, 1 * GB, NEEDS), ADVICE, "1 GB available", "pause"),
    (host.judge_memory(8 * GB, 8 * GB, 6 * GB, NEEDS), OK, "may take 4 GB", ""),
    (host.judge_shared_memory(None, 0, None), ADVICE, "no /dev/shm", "tmpfs"),
    (host.judge_shared_memory(64 << 20, 60 << 20, None), ADVICE, "67.1 MB", "--shm-size"),
    (host.judge_shared_memory(64 << 20, 64 << 20, NEEDS), ADVICE, "take 105 MB", "remount"),
    (host.judge_shared_memory(GB, GB, NEEDS), OK, "1 GB", ""),
    (host.judge_descriptors(256, 512, NEEDS), WRONG, "needs 2,000", "ulimit -Hn 2000"),
    (host.judge_descriptors(256, -1, NEEDS), OK, "up to no limit", ""),
    (host.judge_processes(-1, 80, 20, NEEDS), WRONG, "60 more in this control group", "TasksMax"),
    (host.judge_processes(64, None, 0, NEEDS), WRONG, "64 for this user", "ulimit -u"),
    (host.judge_processes(-1, None, 0, None), OK, "no limit of a control group", ""),
    (host.judge_groups(True, 2, ""), OK, "version 2", ""),
    (host.judge_groups(False, 2, "read only"), ADVICE, "read only", "Delegate=yes"),
    (host.judge_state("/home", "ext4", 9 * GB, writable=False, needs=None), WRONG, "nothing can be written", "FARM_HOME"),
    (host.judge_state("/home", "ext4", 1 << 20, writable=True, needs=None), WRONG, "1.05 MB free", "make room"),
    (host.judge_state("/run", "tmpfs", 9 * GB, writable=True, needs=None), ADVICE, "memory", "FARM_HOME"),
    (host.judge_state("/home", "", 2 * GB, writable=True, needs=NEEDS), ADVICE, "unknown filesystem", "3 GB"),
    (host.judge_state("/home", "ext4", 9 * GB, writable=True, needs=NEEDS), OK, "ext4", ""),
    (host.judge_extras({"embedded": [], "otel": ["opentelemetry-sdk"]}), OK, "installed: embedded; not installed: otel", ""),
    (host.judge_extras({}), OK, "there are none", ""),
    (database.judge_version(140011, "14.11", 0.001, is_standby=False), WRONG, "14.11", "PostgreSQL 15"),
    (database.judge_version(180004, "18.4", 0.001, is_standby=True), WRONG, "standby", "primary"),
    (database.judge_version(180004, "18.4", 0.05, is_standby=False), ADVICE, "50ms", "nearer"),
    (database.judge_version(190000, "19.0", 0.001, is_standby=False), ADVICE, "19.0", "15 to 18"),
    (database.judge_version(180004, "18.4", 0.001, is_standby=False), OK, "1ms", ""),
    (pooling(True, True, None), WRONG, "another session", "pooled: true"),
    (pooling(True, True, None, said=True), ADVICE, "transaction pooler", "`listen`"),
    (pooling(True, True, True, said=True, listen=True), OK, "goes past it", ""),
    (pooling(True, True, False, said=True, listen=True), WRONG, "LISTEN", "`listen`"),
    (pooling(False, False, False), WRONG, "LISTEN", "DSN"),
    (pooling(True, False, True), ADVICE, "keeps sessions", "the server itself"),
    (pooling(False, False, None, said=True), ADVICE, "no transaction pooler", "leave `pooled` out"),
    (pooling(False, False, True), OK, "none", ""),
    (database.judge_clock(0.3, 0.001), OK, "within 300ms", ""),
    (database.judge_clock(-90.0, 0.001), ADVICE, "1m 30s behind", "NTP"),
    (database.judge_clock(2.0, 3.0), OK, "within 3s", ""),
    (database.judge_schema(19, 19, embedded=False), OK, "version 19", ""),
    (database.judge_schema(16, 19, embedded=False), WRONG, "needs 19", "farm migrate"),
    (database.judge_schema(0, 19, embedded=False), WRONG, "there is none", "farm migrate"),
    (database.judge_schema(16, 19, embedded=True), OK, "makes that 19", ""),
    (database.judge_schema(20, 19, embedded=True), WRONG, "knows 19", "upgrade farm"),
    (database.judge_connections(100, 3, 94), WRONG, "94 of 100", "3 are left"),
    (database.judge_connections(100, 3, 90), ADVICE, "90 of 100", "7 are left"),
    (database.judge_connections(100, 3, 10), OK, "10 of 100", ""),
    (database.judge_horizon([]), OK, "no session", ""),
    (database.judge_horizon([SESSION._replace(age_s=30.0)]), OK, "no session", ""),
    (database.judge_horizon([SLOT, SESSION, PREPARED]), WRONG,
     "a transaction of psql of ada (backend 4711, idle in transaction) has been in its way for 1h 6m; and 2 others",
     "pg_terminate_backend(4711)"),
    (database.judge_horizon([SLOT]), WRONG, "the replication slot copy_1 (nobody reads it) has been in its way for 2,000,000 transactions",
     "pg_drop_replication_slot('copy_1')"),
    (database.judge_horizon([PREPARED]), ADVICE, "the prepared transaction tx-9 of ada", "ROLLBACK PREPARED"),
]  # fmt: skip


@pytest.mark.parametrize(("finding", "level", "says", "advises"), CASES, ids=[case[0].check for case in CASES])
def test_figures_are_judged(finding: Finding, level: Level, says: str, advises: str) -> None:
    assert finding.level is level
    assert says in finding.text
    assert advises in finding.advice
    assert bool(finding.advice) == (level is not OK), "advice where something is to be done, and only there"


@pytest.mark.parametrize(
    ("name", "value", "level"),
    [
        ("fsync", "off", WRONG),
        ("full_page_writes", "off", WRONG),
        ("synchronous_commit", "off", WRONG),
        ("synchronous_commit", "local", OK),
        ("autovacuum", "off", WRONG),
        ("track_counts", "off", WRONG),
        ("autovacuum_naptime", "600", ADVICE),
        ("shared_buffers", "1024", ADVICE),
        ("max_wal_size", "128", ADVICE),
        ("idle_in_transaction_session_timeout", "0", ADVICE),
        ("transaction_timeout", "5000", ADVICE),
        ("transaction_timeout", "0", OK),
        ("fsync", "nonsense", OK),
    ],
)
def test_settings_are_judged(name: str, value: str, level: Level) -> None:
    findings = list(database.judge_settings({**SOUND, name: value}, embedded=False))
    assert [finding.level for finding in findings] == [level]
    assert level is OK or findings[0].check == name
    assert next(database.judge_settings({}, embedded=True)).level is OK


class Server:
    """A server with two processes behind what may be a pooler of transactions: who asks next gets the one that was used last."""

    def __init__(self, *, pools: bool) -> None:
        self.pools = pools
        self.free = [102, 101]


class Client:
    """A session of such a server, as far as the doctor uses one; cast to Session."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._own = server.free.pop() if not server.pools else None
        self._held: int | None = None
        self.pgconn = SimpleNamespace(backend_pid=self._own or 9)

    def run(self, unit: Callable[[Any], T]) -> T:
        return unit(self)

    def transaction(self) -> Client:
        return self

    def __enter__(self) -> None:
        self._held = self._own or self._server.free.pop()

    def __exit__(self, *_: object) -> None:
        if not self._own:
            self._server.free.append(cast(int, self._held))
        self._held = None

    def execute(self, _query: bytes) -> Any:
        pid = self._held or self._own or self._server.free[-1]
        return SimpleNamespace(fetchone=lambda: (pid,))


@pytest.mark.parametrize("pools", [True, False])
def test_a_pooler_is_known_by_what_it_does(pools: bool) -> None:
    server = Server(pools=pools)
    first, second = Client(server), Client(server)
    found = look_for_pooler(cast(Session, first), cast(Session, second), None)
    assert found == Pooling(is_pooled=pools, changes=pools, hears=None)


def test_limits_of_processes_come_from_the_tightest_control_group(tmp_path: Path) -> None:
    for version, line, top in ((2, "0::/a/b", ""), (1, "7:pids:/a/b", "pids")):
        root = tmp_path / str(version)
        groups = root / "sys/fs/cgroup" / top
        (groups / "a/b").mkdir(parents=True)
        (root / "proc/self").mkdir(parents=True)
        (root / "proc/self/cgroup").write_text(f"3:cpu:/elsewhere\n{line}\n")
        assert measures.pids_of_group(root) == (None, 0)
        for directory, limit, now in ((groups / "a/b", "max", 3), (groups / "a", "100", 90), (groups, "4000", 900)):
            (directory / "pids.max").write_text(limit + "\n")
            (directory / "pids.current").write_text(f"{now}\n")
        assert measures.pids_of_group(root) == (100, 90)
    assert measures.pids_of_group(tmp_path / "nowhere") == (None, 0)


def test_where_there_is_no_shared_memory_that_is_said(tmp_path: Path) -> None:
    assert measures.shared_memory(None, tmp_path / "nowhere").text == "there is no /dev/shm"


def test_this_host_can_be_examined(tmp_path: Path) -> None:
    findings = list(measures.examine_host(tmp_path / "home" / "of" / "farm", NEEDS))
    checks = [finding.check for finding in findings]
    assert len(set(checks)) == len(checks) >= 9
    assert not (tmp_path / "home").exists(), "nothing is made"
