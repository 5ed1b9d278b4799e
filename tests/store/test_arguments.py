"""Arguments of jobs: whatever is taken comes back equal from PostgreSQL, and everything else is refused with the path to it."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

import farm
from farm.model import JSON_DEPTH_MAX
from tests.store.bench import Bench

TEXT = st.text(st.characters(exclude_categories=[]), max_size=8) | st.sampled_from(
    ["\0", "\ud800", "\\u0000", "null", "\u2028", "\U0001f600"]
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(1 << 66), 1 << 66),
    st.sampled_from([-(1 << 63), -(1 << 63) - 1, (1 << 64) - 1, 1 << 64, 10**400]),
    st.floats() | st.sampled_from([sys.float_info.max, -sys.float_info.max, sys.float_info.min, 5e-324]),
    TEXT,
    st.binary(max_size=3),
    st.just({1}),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(TEXT | st.integers(0, 3), inner, max_size=4),
        st.tuples(inner, st.sampled_from([1, 150, 198, 199, 200, 300])).map(lambda pair: deeper(*pair)),
    ),
    max_leaves=12,
)
ARGS = st.lists(VALUES, max_size=4) | st.dictionaries(TEXT, VALUES, max_size=4)


def deeper(value: Any, levels: int) -> Any:
    for _ in range(levels):
        value = [value]
    return value


def is_json(value: Any, depth: int = 1) -> bool:
    """Say whether a value may be, or stand in, the arguments of a job."""
    if isinstance(value, bool) or value is None:
        return True
    if isinstance(value, int):
        return -(1 << 63) <= value < 1 << 64
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, str):
        return "\0" not in value and not any(0xD800 <= ord(char) < 0xE000 for char in value)
    if isinstance(value, list | tuple):
        return depth <= JSON_DEPTH_MAX and all(is_json(inner, depth + 1) for inner in value)
    if isinstance(value, dict):
        fits = depth <= JSON_DEPTH_MAX and all(isinstance(key, str) and is_json(key) for key in value)
        return fits and all(is_json(inner, depth + 1) for inner in value.values())
    return False


def as_lists(value: Any) -> Any:
    """Return a value with its tuples as the lists that they become."""
    if isinstance(value, dict):
        return {key: as_lists(inner) for key, inner in value.items()}
    return [as_lists(inner) for inner in value] if isinstance(value, list | tuple) else value


def same(one: Any, other: Any) -> bool:
    """Say whether two JSON values are equal; True is not 1, and 1.0 is."""
    if isinstance(one, bool) or isinstance(other, bool) or one is None or other is None:
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    # A float of more than 2^53 comes back as one of the integers that it stands for.
    return bool(one == other or (isinstance(other, float) and float(one) == other))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(args=ARGS)
def test_either_refused_with_the_path_or_equal_on_return(shared: tuple[farm.Client, Bench], args: Any) -> None:
    client, bench = shared
    ways: tuple[Callable[[], int], ...] = (
        lambda: client.enqueue("app:f", args),
        lambda: client.enqueue_many([{"task": "app:f", "args": args}] * 2)[1],
    )
    for path, enqueue in zip(("args", "jobs[0].args"), ways, strict=True):
        if is_json(args):
            assert same(bench.value("SELECT args FROM farm.job WHERE id = %s", enqueue()), as_lists(args))
        else:
            with pytest.raises(farm.InvalidJob) as refused:
                enqueue()
            assert str(refused.value).startswith(path)
            assert str(refused.value).isprintable()


@pytest.fixture
def shared(bench: Bench) -> Iterator[tuple[farm.Client, Bench]]:
    with farm.connect(bench.dsn) as client:
        yield client, bench


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(args=ARGS.filter(is_json))
def test_sql_takes_what_the_client_takes(shared: tuple[farm.Client, Bench], args: Any) -> None:
    _, bench = shared
    job_ids = bench.value("SELECT farm.enqueue_many(%s)", Jsonb([{"task": "app:f", "args": args}]))
    job_ids.append(bench.value("SELECT farm.enqueue('app:f', %s)", Jsonb(args)))
    for job_id in job_ids:
        assert same(bench.value("SELECT args FROM farm.job WHERE id = %s", job_id), as_lists(args))


def test_nul_and_lone_surrogates_in_sql_are_refused_by_postgresql_itself(bench: Bench) -> None:
    for text, error in (("\\u0000", psycopg.errors.UntranslatableCharacter), ("\\ud800", psycopg.errors.InvalidTextRepresentation)):
        for call in ("farm.enqueue('app:f', %s::jsonb)", "farm.enqueue_many(jsonb_build_array(jsonb_build_object('args', %s::jsonb)))"):
            with pytest.raises(error):
                bench.sql.execute(f"SELECT {call}".encode(), [f'["{text}"]'])
    assert bench.value("SELECT count(*) FROM farm.job") == 0
