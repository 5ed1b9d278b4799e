"""A configuration is read whole, and everything wrong with it is said at once, each with its place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from farm.config import Config, Database, Lane, Recycle, WriterOptions, load
from farm.config.machine import Machine
from farm.errors import ConfigError
from farm.joblog import Logs
from farm.model import KEEP_ALL

MACHINE = Machine(cores=4, memory_bytes=8_000_000_000)
BASE = """\
database: embedded
runners:
  python: {allow: ["farm.demo:*"]}
lanes:
  default: {queues: ["*"]}
"""


def load_text(tmp_path: Path, text: str | bytes, **options: object) -> Config:
    file = tmp_path / "c.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load(file, **{"machine": MACHINE, "environ": {}, **options})  # type: ignore[arg-type]


def problems(tmp_path: Path, text: str | bytes) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_text(tmp_path, text)
    return [problem.removeprefix(f"{tmp_path}/") for problem in caught.value.problems]


def test_what_is_not_said_has_the_documented_default(tmp_path: Path) -> None:
    config = load_text(tmp_path, BASE)
    grown = Recycle(rss_growth_bytes=128_000_000)
    assert config.lanes == (Lane(name="default", queues=("*",), subworkers=4, concurrency=1, memory_bytes=512_000_000, recycle=grown),)
    assert (config.host.memory_floor_bytes, config.host.pressure_percent, config.host.cgroup) == (400_000_000, 20.0, True)
    assert config.host.name == "default"
    assert config.host.memory_bytes == 8_000_000_000
    assert config.writer == WriterOptions(batch_max=4000, age_max_s=0.050)
    assert (config.heartbeat_s, config.lease_s, config.reap_every_s, config.poll_s) == (1.0, 10.0, 2.0, 0.250)
    assert (config.drain_timeout_s, config.claim_max, config.spill_bytes_max) == (30.0, 4000, 10**9)
    assert config.runners == {"python": {"allow": ["farm.demo:*"], "path": []}}
    assert config.gate_s == pytest.approx(8.0)


def test_nothing_is_removed_unless_the_file_says_so(tmp_path: Path) -> None:
    day_s = 86400.0
    assert load_text(tmp_path, BASE).retention == KEEP_ALL
    assert load_text(tmp_path, BASE + "retention: {succeeded: 7d, failed: 30d}\n").retention == (7 * day_s, 30 * day_s, 30 * day_s)
    assert load_text(tmp_path, BASE + "retention: {failed: 30d, cancelled: never}\n").retention == (None, 30 * day_s, None)
    assert load_text(tmp_path, BASE + "retention: {cancelled: 1h}\n").retention == (None, None, 3600.0)
    assert ": retention.succeeded: " in problems(tmp_path, BASE + "retention: {succeeded: 0s}\n")[0]


def test_what_is_said_counts(tmp_path: Path) -> None:
    text = """\
database: {dsn: postgresql://u@h/d, pooled: true, listen: "host=h dbname=d"}
host: {name: north, memory: 2GB}
runners: {python: {}}
lanes:
  fast: {queues: [mail], subworkers: 1, concurrency: 4096, memory: 100MB}
  rest: {queues: [reports, "*"], subworkers: 3, memory: 256MiB, keep_result: false, logs: failures, log_limit: 2MiB}
writer: {batch_max: 10, age_max: 5ms}
spill: {max: 64MiB}
drain_timeout: 1m
heartbeat: 50ms
lease: 500ms
reap_every: 0.1
poll: 20ms
claim_max: 7
"""
    config = load_text(tmp_path, text)
    assert config.database == Database(kind="dsn", dsn="postgresql://u@h/d", pooled=True, listen="host=h dbname=d", source="config")
    assert config.host.name == "north"
    assert [(lane.name, lane.queues, lane.subworkers, lane.concurrency, lane.memory_bytes) for lane in config.lanes] == [
        ("fast", ("mail",), 1, 4096, 100_000_000),
        ("rest", ("reports", "*"), 3, 1, 256 << 20),
    ]
    assert [lane.keep_result for lane in config.lanes] == [True, False]
    assert [(lane.logs, lane.log_limit_bytes) for lane in config.lanes] == [(Logs.ON, 64 << 10), (Logs.FAILURES, 2 << 20)]
    assert config.writer == WriterOptions(batch_max=10, age_max_s=0.005)
    assert (config.heartbeat_s, config.lease_s, config.reap_every_s, config.poll_s) == (0.05, 0.5, 0.1, 0.02)
    assert (config.drain_timeout_s, config.claim_max, config.spill_bytes_max) == (60.0, 7, 64 << 20)


def test_a_host_that_lost_only_its_connection_has_it_back_within_a_lease(tmp_path: Path) -> None:
    for lease in ("100ms", "1s", "10s", "1h"):
        config = load_text(tmp_path, BASE + f"lease: {lease}\nheartbeat: 10ms\nreap_every: 10ms\npoll: 10ms\n")
        assert config.reconnect_pause_s + config.connect_s + config.heartbeat_s < config.lease_s
        assert config.gate_s < config.lease_s


def test_all_problems_are_said_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """\
database: embeded
hostt: {}
host: {name: Foo, memory: lots}
runners:
  pyhton: {allow: []}
  python: {alow: ["a:b"]}
lanes:
  A: {queues: [], subworkers: 0}
  b: {queues: ["*", a, a, 12], concurrency: 0, memory: 12XB, subworkers: true}
  c:
  d: {queues: x}
  b: {queues: [q]}
writer: {batch_max: 1e3, age_max: -1, foo: 1}
drain_timeout: 1:30
heartbeat: 6s
reap_every: 9s
poll:
claim_max: 017
spill: {max: 1}
"""
    name = "expected a name of up to 63 small letters, digits and _ . : - that begins with a letter or digit"
    duration = "expected a duration such as 250ms, 10s, 5m, 1h or a number of seconds"
    size = "expected auto or a size such as 512MB or 512MiB"
    assert problems(tmp_path, text) == [
        "c.yaml:1:11: database: expected embedded or a PostgreSQL DSN such as postgresql://user@host/database, got 'embeded'; "
        "did you mean 'embedded'?",
        "c.yaml:2:1: hostt: unknown key; did you mean 'host'?",
        f"c.yaml:3:14: host.name: {name}, got 'Foo'",
        f"c.yaml:3:27: host.memory: {size}, got 'lots'",
        "c.yaml:5:3: runners.pyhton: unknown runner; did you mean 'python'? (there are: python)",
        "c.yaml:6:12: runners.python.alow: unknown option; did you mean 'allow'? (the python runner has allow, path)",
        f"c.yaml:8:3: lanes.A: {name}, got 'A'",
        "c.yaml:8:15: lanes.A.queues: expected at least one queue, or '*' for any",
        "c.yaml:8:31: lanes.A.subworkers: expected auto or a whole number from 1 to 1000, got 0",
        "c.yaml:9:16: lanes.b.queues[0]: '*' takes from any queue, so it can only be the last one",
        "c.yaml:9:24: lanes.b.queues[2]: 'a' stands in this chain already",
        "c.yaml:9:27: lanes.b.queues[3]: expected the name of a queue, got 12",
        "c.yaml:9:45: lanes.b.concurrency: expected a whole number from 1 to 4096, got 0",
        f"c.yaml:9:56: lanes.b.memory: {size}, got '12XB' (units are B, kB, KB, MB, GB, TB, KiB, MiB, GiB, TiB)",
        "c.yaml:9:74: lanes.b.subworkers: expected auto or a whole number from 1 to 1000, got true",
        "c.yaml:10:5: lanes.c: expected a mapping with queues, subworkers, concurrency, memory, keep_result, logs, log_limit, timeout, "
        "setup, env, cpus, nice, recycle, got nothing",
        "c.yaml:11:15: lanes.d.queues: expected a list, got 'x'",
        "c.yaml:12:3: lanes.b: duplicate key, first defined on line 9",
        "c.yaml:13:21: writer.batch_max: expected a whole number from 1 to 20000, got 1e3",
        f"c.yaml:13:35: writer.age_max: {duration}, got -1",
        "c.yaml:13:39: writer.foo: unknown key",
        f"c.yaml:14:16: drain_timeout: {duration}, got '1:30'",
        "c.yaml:15:12: heartbeat: must be less than half of lease (10s), or one late beat loses the host its jobs",
        "c.yaml:16:13: reap_every: must be at most half of lease (10s): a tick counts as late after two of them",
        "c.yaml:17:6: poll: expected a single value, got nothing",
        "c.yaml:18:12: claim_max: a number must not begin with 0: YAML readers do not agree on whether it is octal; write 0o17 for that, "
        "or quote it",
        "c.yaml:19:14: spill.max: expected 32MiB to 1024TiB, got 1",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{}", "1:1: required key 'lanes' is missing"),
        ("runners: {}\nlanes: {a: {queues: [q]}}", "1:10: runners: expected at least one runner: without one no lane can run anything"),
        ("runners: {python: {}}\nlanes: {}", "2:8: lanes: expected at least one lane"),
        ("runners: {python: {}}\nlanes: {a: {}}", "2:12: lanes.a: required key 'queues' is missing"),
        ("runners: {python: {allow: [1]}}", "1:28: runners.python.allow[0]: expected a string, got 1"),
        ("runners: {python: {allow: null}}", "1:20: runners.python.allow: expected a list of strings, got nothing"),
        (
            "runners: {python: {path: [/no/such/dir]}}",
            "1:27: runners.python.path[0]: there is no directory '/no/such/dir' (looked for /no/such/dir)",
        ),
        ("runners: [python]", "1:10: runners: expected a mapping, got a list"),
        (
            BASE + "heartbeat: 5s\nlease: 10s\n",
            "6:12: heartbeat: must be less than half of lease (10s), or one late beat loses the host its jobs",
        ),
        (BASE + "poll: 20s\n", "6:7: poll: must be at most lease (10s)"),
        (BASE + "host: {memory: 1TB}\n", "6:16: host.memory: this machine has 8 GB; or set host.overcommit: true"),
        (BASE + "host: {overcommit: 1}\n", "6:20: host.overcommit: expected true or false, got 1"),
        (BASE + "host: {name: ../../etc}\n", "6:14: host.name: expected a name of up to 63 small letters"),
        (BASE + "claim_max: [1]\n", "6:12: claim_max: expected a single value, got a list"),
        ("database: {pooled: true}\n", "1:11: database: required key 'dsn' is missing"),
        ("database: {dsn: nonsense, lisen: x}\n", "1:17: database.dsn: expected a PostgreSQL DSN such as postgresql://user@host/database"),
        ("database: {dsn: nonsense, lisen: x}\n", "1:27: database.lisen: unknown key; did you mean 'listen'?"),
    ],
)
def test_each_mistake_has_its_line_and_column(tmp_path: Path, text: str, problem: str) -> None:
    assert any(line.startswith(f"c.yaml:{problem}") for line in problems(tmp_path, text))


def test_explicit_memory_beyond_the_host_is_refused_with_the_arithmetic(tmp_path: Path) -> None:
    text = """\
host: {memory: 1GB}
runners: {python: {}}
lanes: {a: {queues: [x], subworkers: 2, memory: 400MB}, b: {queues: [y]}}
"""
    assert problems(tmp_path, text) == [
        "c.yaml:3:49: lanes.a.memory: 3 x 400 MB (a), with a spare subworker in each lane = 1.2 GB, and the host has 1 GB; "
        "or set host.overcommit: true"
    ]
    config = load_text(tmp_path, text.replace("1GB}", "1GB, overcommit: true}"))
    assert config.lanes[0].memory_bytes == 400_000_000


def test_a_dsn_that_is_none_is_never_shown(tmp_path: Path) -> None:
    for text in ("postgresql://u:s3cret@h:xx/y?foo=1", "host=h pass word=s3cret", "s3cret_with_a_slip"):
        assert "s3cret" not in "".join(problems(tmp_path, f"database: '{text}'\n{BASE.split(chr(10), 1)[1]}"))
    config = load_text(tmp_path, BASE.replace("embedded", "postgresql://u:s3cret@h/d"))
    assert "s3cret" not in repr(config)


def test_the_database_is_that_of_the_flag_then_the_file_then_the_environment_then_embedded(tmp_path: Path) -> None:
    environ = {"FARM_DSN": "postgresql://environment/d"}
    unsaid = BASE.split("\n", 1)[1]
    said = "database: postgresql://file/d\n" + unsaid

    def choice(text: str, **options: object) -> tuple[str, str | None]:
        database = load_text(tmp_path, text, **options).database
        return database.source, database.dsn

    assert choice(said, dsn="postgresql://flag/d", environ=environ) == ("--dsn", "postgresql://flag/d")
    assert choice(said, environ=environ) == ("config", "postgresql://file/d")
    assert choice(BASE, environ=environ) == ("config", None)
    assert choice(unsaid, environ=environ) == ("FARM_DSN", "postgresql://environment/d")
    assert choice(unsaid, environ={"FARM_DSN": ""}) == ("default", None)
    assert choice(said, dsn="embedded") == ("--dsn", None)
    with pytest.raises(ConfigError, match=r"^FARM_DSN: expected embedded or a PostgreSQL DSN"):
        load_text(tmp_path, unsaid, environ={"FARM_DSN": "s3cret"})


def test_what_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    large = tmp_path / "large"
    large.write_bytes(b"#" * (1 << 20) + b"\n")
    for path, reason in (
        (str(tmp_path / "missing"), "cannot be read: No such file or directory"),
        (str(tmp_path), "is a directory, not a configuration file"),
        (str(fifo), "is not a regular file"),
        ("/dev/zero", "is not a regular file"),
        (str(large), "is larger than 1 MiB"),
        ("a\0b", "cannot be read: "),
    ):
        with pytest.raises(ConfigError) as caught:
            load(path)
        (problem,) = caught.value.problems
        assert problem.startswith(f"{path}: {reason}")
