"""Whatever stands in a configuration, and whatever its variables hold: a Config or a ConfigError comes out, soon.

FARM_FUZZ_EXAMPLES=100000 tries so many files of each kind (`make fuzz`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from farm.config import load
from farm.config.keys import CONFIG
from farm.config.machine import Machine
from farm.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
MACHINE = Machine(cores=2, memory_bytes=4_000_000_000, cpus=frozenset({0, 1}))
EXAMPLES = int(os.environ.get("FARM_FUZZ_EXAMPLES", "300"))
LONG = EXAMPLES > 1000

fuzzed = settings(
    max_examples=EXAMPLES,
    # The bound on time: a loader that hangs is a failure, one that shares the machine with other tests is none.
    deadline=timedelta(seconds=20),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
pytestmark = pytest.mark.timeout(3600 if LONG else 60)


def problems(file: Path, environ: Mapping[str, str] = {}) -> list[str]:
    """Load a file; gives what was said of it. Each is a line for a terminal, of a length that can be read."""
    try:
        load(file, machine=MACHINE, environ=environ)
    except ConfigError as error:
        found = list(error.problems)
    else:
        return []
    assert found
    assert all(line.isprintable() and line.startswith(str(file)) and len(line) < 700 for line in found)
    return found


WORDS = st.sampled_from(
    """database host runners python lanes default queues * '*' auto memory name 1 -1 no ~ { } [ ] : ? &a *a !!str !x | > " ' # % ---
    ... 10s 512MB writer batch_max lease poll allow path é 0x 1e9 .inf << ${A} ${B:-x} ${ $${ ${A:- "${A}" '${B}'""".split()  # noqa: SIM905 (readable)
)
SPACES = st.sampled_from([": ", "- ", ", ", "\n", "\n  ", "\t", "\x85", "\u2028", "\U0001f600"])
VARIABLES = st.fixed_dictionaries(
    {}, optional={"A": st.text(max_size=20), "B": st.sampled_from(["", "1", "auto", "x]\n", "\udc80", "a:b"])}
)


@fuzzed
@given(
    st.one_of(
        st.binary(max_size=200),
        st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.lists(WORDS | SPACES).map("".join).map(str.encode),
    ),
    VARIABLES,
)
@example(b"\xff\xfe", {})
@example(b"\xff\xfea", {})
@example(b"\xef\xbb\xbf", {})
@example(b"? " * 5000, {})
@example(b"{" * 5000, {})
@example(b"!" * 5000, {})
@example(b"&a " * 500, {})
@example(b"lanes: {a: {queues: !!seq {}}}", {})
@example(b'database: "${A}"', {"A": "\n"})
def test_whatever_the_bytes(tmp_path: Path, data: bytes, environ: dict[str, str]) -> None:
    file = tmp_path / "c.yaml"
    file.write_bytes(data)
    assert problems(file, environ)


WHOLE = b"""\
# everything that there is
database: {dsn: "postgresql://u:p@h:5432/d", pooled: true, listen: 'host=h dbname=d'}
host: {name: north, memory: 2GB, overcommit: false, memory_floor: 100MB, pressure: 12.5, cgroup: 'off'}
runners:
  python: {allow: ["farm.demo:*", "operator:add"], path: [.]}
lanes:
  fast:
    queues: [mail, web]
    subworkers: 2
    memory: 100MB
    setup: [pools:open, "app.models:load"]
    env: {REGION: "${A:-eu}", PORT: 8080}
    cpus: [0, 1]
    nice: 5
    recycle: {max_jobs: 1000, rss_growth: never, max_age: 1h}
  rest: {queues: [reports, "*"], subworkers: auto, concurrency: 1, memory: 256MiB}
writer: {batch_max: 10, age_max: 5ms}
spill: {max: 64MiB}
drain_timeout: ${DRAIN:-1m}
heartbeat: 50ms
lease: "500ms"
reap_every: 0.1
poll: 20ms
claim_max: 7
"""
TOKENS = [
    *b"{}[]:,?-#&*!|>'\"%@`$\n\t \0\\~0917.e\x85\xff",
    b"${",
    b"!!binary ",
    b"0x",
    b"---\n",
    b"<<: ",
    b"\xef\xbb\xbf",
    b"no",
    b"\\ud800",
    b"- ",
    b"? ",
]


def mutated(seed: int) -> bytes:
    """Return the whole configuration with a few pieces put in, taken out, doubled, or exchanged."""
    random, data = Random(seed), bytearray(WHOLE)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(data))
        end = at + random.choice((0, 1, 1, 2, 8, 40))
        token = random.choice(TOKENS)
        piece = bytes([token]) if isinstance(token, int) else token
        data[at:end] = random.choice((b"", piece, piece * random.choice((1, 2, 100)), data[end : end + 60], bytes(data[at:end]) * 2))
    return bytes(data)


def test_the_whole_configuration_is_a_good_one(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_bytes(WHOLE)
    assert problems(file) == []


@fuzzed
@given(st.integers(0, 1 << 40), VARIABLES)
def test_whatever_is_changed_in_a_good_one(tmp_path: Path, seed: int, environ: dict[str, str]) -> None:
    file = tmp_path / "c.yaml"
    file.write_bytes(mutated(seed))
    problems(file, environ)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["auto", "*", "10s", "512MB", "x", "", "${A}", "${B:-1}", "a:b", "."]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["queues", "memory", "name", "allow", "dsn", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@fuzzed
@given(
    st.dictionaries(
        st.sampled_from([*CONFIG.keys, "x"]),
        VALUES | st.dictionaries(st.sampled_from(["a", "python", "A"]), VALUES, max_size=3),
    ),
    VARIABLES,
)
def test_whatever_stands_under_the_known_keys(tmp_path: Path, data: object, environ: dict[str, str]) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(yaml.safe_dump(data))
    problems(file, environ)


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 1_000_000,
        b"- " * 500_000,
        b"a: '" + b"${A" * 300_000 + b"'",
        b"lanes:\n" + b"".join(b"  a%d: {queue: [x], subworkrs: 1}\n" % n for n in range(7000)),
        b"runners: {python: {allow: [" + b"'a'," * 45_000 + b"]}}",
        b"lease: '" + b"1.1" * 300_000 + b"'",
        b"? " + b"x" * 1_000_000 + b"\n: 1\n",
        b"a" * 1_000_000 + b"\xff",
    ],
    ids=lambda data: data[:12].decode(),
)
def test_the_longest_files_are_read_too(tmp_path: Path, data: bytes) -> None:
    """Within the timeout of a test, that is: nothing takes a time that grows faster than the file."""
    file = tmp_path / "c.yaml"
    file.write_bytes(data)
    assert problems(file, {"A": "x" * 100_000})
