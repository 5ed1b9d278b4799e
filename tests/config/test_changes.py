"""What differs between two configurations."""

from __future__ import annotations

from dataclasses import replace

import orjson
from hypothesis import given
from hypothesis import strategies as st

from farm.config.changes import Change, How, applied, as_data, changes, of_data, settings
from farm.config.model import Config, Database, Host, Lane, Recycle, WriterOptions
from farm.joblog import Logs
from farm.retry import Backoff, Policy

SECRET = "hunter2"
names = st.sampled_from(["a", "a.b", "fast", "slow"])
seconds = st.sampled_from([0.0, 0.05, 1.0, 1.0000001, 600.0])
sizes = st.sampled_from([0, 1_000_000, 512_000_000, 512_000_001])
lanes = st.builds(
    Lane,
    name=names,
    queues=st.sampled_from([("a",), ("b", "*")]),
    subworkers=st.integers(1, 3),
    concurrency=st.integers(1, 2),
    memory_bytes=sizes,
    timeout_s=seconds,
    keep_result=st.booleans(),
    logs=st.sampled_from(Logs),
    log_limit_bytes=st.integers(1024, 1026),
    setup=st.sampled_from([(), ("m:f",)]),
    env=st.dictionaries(st.sampled_from(["A", "B"]), st.just(SECRET), max_size=2),
    cpus=st.sampled_from([(), (0, 1)]),
    nice=st.integers(0, 1),
    recycle=st.builds(Recycle, max_jobs=st.integers(0, 1), rss_growth_bytes=sizes, max_age_s=seconds),
)
policies = st.builds(
    Policy,
    pattern=st.sampled_from(["*", "m:*", "m.n:f"]),
    retry=st.sampled_from([None, Backoff(1.0, None), Backoff(1.0, 600.0)]),
    max_attempts=st.sampled_from([None, 1]),
    timeout_s=st.sampled_from([None, 1.0]),
    final_errors=st.sampled_from([None, (), ("ValueError",)]),
)
databases = st.sampled_from(
    [
        Database(kind="embedded"),
        Database(kind="dsn", dsn=f"postgresql://me:{SECRET}@db/farm"),
        Database(kind="dsn", dsn="postgresql://me:other@db/farm", pooled=True, listen=f"postgresql://me:{SECRET}@db/farm"),
    ]
)
configs = st.builds(
    Config,
    path=st.just("farm.yaml"),
    database=databases,
    host=st.builds(
        Host,
        name=names,
        memory_bytes=sizes,
        memory_floor_bytes=sizes,
        pressure_percent=st.sampled_from([0.0, 20.0]),
        cgroup=st.booleans(),
    ),
    runners=st.dictionaries(st.sampled_from(["python", "other"]), st.sampled_from([{}, {"allow": [SECRET]}, {"allow": []}])),
    lanes=st.lists(lanes, max_size=3, unique_by=lambda lane: lane.name).map(tuple),
    tasks=st.lists(policies, max_size=3, unique_by=lambda policy: policy.pattern).map(tuple),
    writer=st.builds(WriterOptions, batch_max=st.integers(1, 2), age_max_s=seconds),
    drain_timeout_s=seconds,
    heartbeat_s=seconds,
    lease_s=seconds,
    reap_every_s=seconds,
    poll_s=seconds,
    claim_max=st.integers(1, 2),
    spill_bytes_max=sizes,
)
A_CONFIG = Config(
    path="farm.yaml",
    database=Database(kind="embedded"),
    host=Host(name="default", memory_bytes=8_000_000_000),
    runners={"python": {"allow": ["m:*"]}},
    lanes=(Lane(name="fast", queues=("a", "*"), subworkers=1, concurrency=1, memory_bytes=512_000_000),),
    tasks=(),
    writer=WriterOptions(batch_max=4000, age_max_s=0.05),
    drain_timeout_s=30.0,
    heartbeat_s=1.0,
    lease_s=10.0,
    reap_every_s=2.0,
    poll_s=0.25,
    claim_max=4000,
    spill_bytes_max=10**9,
)


@given(configs)
def test_nothing_differs_from_itself(config: Config) -> None:
    assert changes(settings(config), settings(config)) == []


@given(configs, configs)
def test_all_that_differs_is_found(old: Config, new: Config) -> None:
    """Whoever makes the changes that are told has the other configuration, and nothing that may be a secret is told."""
    before, after = settings(old, key=b"k"), settings(new, key=b"k")
    found = changes(before, after)
    assert applied(before, found) == after
    assert SECRET not in "".join(map(str, found)) + orjson.dumps(as_data(before)).decode()
    assert len({change.path for change in found}) == len(found)


@given(configs)
def test_settings_travel(config: Config) -> None:
    made = settings(config, key=b"k")
    assert of_data(orjson.loads(orjson.dumps(as_data(made)))) == made


def test_words() -> None:
    (lane,) = A_CONFIG.lanes
    larger = replace(lane, subworkers=2, memory_bytes=10**9, env={"TOKEN": SECRET}, timeout_s=600.0)
    extra = replace(lane, name="heavy", queues=("reports",))
    told = [
        (
            replace(A_CONFIG, lanes=(larger,)),
            [
                "lanes.fast.env.TOKEN: added (in new subworkers)",
                "lanes.fast.memory: 512 MB -> 1 GB (in new subworkers)",
                "lanes.fast.subworkers: 1 -> 2",
                "lanes.fast.timeout: none -> 10m",
            ],
        ),
        (
            replace(A_CONFIG, lanes=(replace(lane, memory_bytes=512_000_001),)),
            ["lanes.fast.memory: 512,000,000 bytes -> 512,000,001 bytes (in new subworkers)"],
        ),
        (
            replace(A_CONFIG, lanes=(extra,)),
            [
                "lanes.fast: removed",
                "lanes.heavy: added: queues reports, subworkers 1, concurrency 1, memory 512 MB, keep_result true, logs on, "
                "log_limit 65.5 kB",
            ],
        ),
        (
            replace(
                A_CONFIG, lease_s=5.0, host=replace(A_CONFIG.host, name="other", cgroup=False), database=Database(kind="dsn", dsn="host=db")
            ),
            [
                "database: embedded -> PostgreSQL db (needs a restart)",
                "database.dsn: changed (needs a restart)",
                "host.cgroup: auto -> off (needs a restart)",
                "host.name: default -> other (needs a restart)",
                "lease: 10s -> 5s (needs a restart)",
            ],
        ),
        (
            replace(A_CONFIG, runners={"python": {"allow": ["n:*"]}}, tasks=(Policy(pattern="m:*", retry=Backoff(1.0, 600.0)),)),
            [
                "runners.python.allow: changed (in new subworkers)",
                "tasks: none -> m:*",
                "tasks.m:*: added: retry 1s to 10m",
            ],
        ),
    ]
    for config, lines in told:
        assert list(map(str, _changes(A_CONFIG, config))) == lines
    assert {change.how for change in _changes(A_CONFIG, replace(A_CONFIG, runners={}))} == {How.RESTART}


def _changes(old: Config, new: Config) -> list[Change]:
    return changes(settings(old), settings(new))
