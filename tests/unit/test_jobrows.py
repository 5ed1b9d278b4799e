"""Rows of a bulk: jobs of a kind that is known already are checked as closely as the first one of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from enum import Enum
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import pytest

from farm.errors import InvalidJob
from farm.store import jobrows
from farm.store.jobrows import RowMaker, Rows


def made(jobs: Any, **bounds: int) -> Rows:
    maker = RowMaker(now_us=1000, find_class=lambda *_: 7, where=lambda index: f"jobs[{index}].")
    rows = Rows()
    maker.take(rows, iter(jobs), **{"jobs_max": 1000, "bytes_max": 1 << 24, **bounds})
    return rows


class Hostile:
    def __hash__(self) -> int:
        raise ValueError("no")

    def __repr__(self) -> str:
        raise ValueError("no")


class NotANumber(Enum):
    X = math.nan


GOOD: dict[str, Any] = {
    "task": "app:f",
    "args": {"a": [1]},
    "queue": "mail",
    "runner": "python",
    "priority": 1,
    "max_attempts": 1,
    "timeout_s": 1,
    "memory": "1GB",
    "retry": 1,
}

BAD: list[tuple[dict[Any, Any], str]] = [
    ({"task": 3}, "task: expected 1 to 1024 bytes without control characters, got 3"),
    ({"task": "a\x85b"}, "task: expected 1 to 1024 bytes without control characters, got 'a\\x85b'"),
    ({"task": "a\u202eb"}, "task: expected 1 to 1024 bytes without control characters, got 'a\\u202eb'"),
    ({"task": []}, "task: expected 1 to 1024 bytes without control characters, got []"),
    ({"queue": None}, "queue: expected a name like"),
    ({"queue": b"mail"}, "queue: expected a name like"),
    ({"queue": "m\u0430il"}, "queue: expected a name like"),
    ({"queue": "mail\n"}, "queue: expected a name like"),
    ({"queue": "x'; drop table farm.job;--"}, "queue: expected a name like"),
    ({"runner": 1}, "runner: expected a name like"),
    ({"priority": True}, "priority: expected 0 to 9, got True"),
    ({"priority": 1.0}, "priority: expected 0 to 9, got 1.0"),
    ({"priority": Fraction(1)}, "priority: expected 0 to 9, got Fraction(1, 1)"),
    ({"priority": "1"}, "priority: expected 0 to 9, got '1'"),
    ({"priority": 1 << 70}, "priority: expected 0 to 9, got 1180591620717411303424"),
    ({"max_attempts": True}, "max_attempts: expected 1 to 10000, got True"),
    ({"timeout_s": True}, "timeout_s: expected 0.001 to 2000000 seconds, got True"),
    ({"timeout_s": Fraction(1)}, "timeout_s: expected 0.001 to 2000000 seconds, got Fraction(1, 1)"),
    ({"timeout_s": math.nan}, "timeout_s: expected 0.001 to 2000000 seconds, got nan"),
    ({"timeout_s": 10**400}, "timeout_s: expected 0.001 to 2000000 seconds, got 1000"),
    ({"delay_s": "5m"}, "delay_s: expected 0 to 3155760000 seconds, got '5m'"),
    ({"run_at": datetime(2030, 1, 1)}, "run_at: expected a datetime with a time zone, got datetime"),
    ({"run_at": datetime.max.replace(tzinfo=UTC)}, "run_at: expected a time in the years 2000 to 2199, got datetime"),
    ({"delay_s": 1, "run_at": datetime(2030, 1, 1, tzinfo=UTC)}, "run_at: expected nothing, since delay_s is given, got datetime"),
    ({"memory": 0}, "memory: expected a size such as 512MB or 2GB, at most 1TiB, got 0"),
    ({"memory": True}, "memory: expected a size such as"),
    ({"memory": "1XB"}, "memory: expected a size such as"),
    ({"retry": True}, "retry: expected a delay such as 10s, or one that grows such as 1s to 10m, at most 20d, got True"),
    ({"retry": "1s to"}, "retry: expected a delay such as 10s, or one that grows"),
    ({"expires_s": 0}, "expires_s: expected 0.001 to 3155760000 seconds, got 0"),
    ({"expires_at": datetime(2030, 1, 1)}, "expires_at: expected a datetime with a time zone, got datetime"),
    (
        {"expires_s": 1, "expires_at": datetime(2030, 1, 1, tzinfo=UTC)},
        "expires_at: expected nothing, since expires_s is given, got datetime",
    ),
    ({"delay_s": 5, "expires_s": 5}, "expires_s: expected a time after the one when the job is due, got 5"),
    (
        {"run_at": datetime(2001, 1, 1, tzinfo=UTC), "expires_at": datetime(2001, 1, 1, tzinfo=UTC)},
        "expires_at: expected a time after the one when the job is due, got datetime",
    ),
    (
        {"run_at": datetime(2100, 1, 1, tzinfo=UTC), "expires_s": 5},
        "expires_s: expected a time after the one when the job is due, got 5",
    ),
    (
        {"delay_s": 0, "expires_at": datetime(2000, 1, 1, tzinfo=UTC)},
        "expires_at: expected a time after the one when the job is due, got datetime",
    ),
    ({"args": "text"}, "args: expected an object or an array (dict, list or tuple), got 'text'"),
    ({"args": {"a": {1}}}, "args.a: expected a JSON value, got {1}"),
    ({"args": [math.nan]}, "args[0]: expected a finite number, got nan"),
    ({"args": [[NotANumber.X]]}, "args[0][0]: expected a finite number, got nan"),
    ({"args": {"a": "\0"}}, "args.a: expected text without NUL"),
    ({"args": {1: 2}}, "args: expected text as the key of an object, got 1"),
    ({"args": [1 << 64]}, "args[0]: expected an integer of at most 64 bits"),
    ({"args": ["x" * (1 << 20)]}, "args: expected at most 1048576 bytes of JSON, got 1048580"),
    ({"tags": ["a"]}, "tags: no such option; did you mean 'task'?"),
    ({"colour": 1}, "colour: no such option, expected args, delay_s, expires_at, expires_s, max_attempts"),
    ({3: 1}, "3: no such option, expected args"),
]
"""What is wrong in one job, and the refusal."""


@pytest.mark.parametrize(("wrong", "message"), BAD, ids=[message[:50] for _, message in BAD])
def test_the_third_of_a_kind_is_refused_like_the_first(wrong: dict[Any, Any], message: str) -> None:
    for before in ([], [GOOD, GOOD], [{**GOOD, "args": {}}] * 2):
        with pytest.raises(InvalidJob) as refused:
            made([*before, {**GOOD, **wrong}])
        assert str(refused.value).startswith(f"jobs[{len(before)}].{message}")
        assert "\n" not in str(refused.value)


def test_what_is_no_job_at_all_is_refused() -> None:
    for job, message in (
        (3, "jobs[0]: expected a dict with the arguments of enqueue, got 3"),
        ("task", "jobs[0]: expected a dict with the arguments of enqueue, got 'task'"),
        (None, "jobs[0]: expected a dict with the arguments of enqueue, got None"),
        ({**GOOD, "queue": Hostile()}, "jobs[0].queue: expected a name like [a-z0-9][a-z0-9_.:-]{0,62}, got Hostile"),
    ):
        with pytest.raises(InvalidJob) as refused:
            made([job])
        assert str(refused.value) == message


def test_known_kinds_give_the_rows_that_a_closer_look_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs: list[Mapping[str, Any]] = [
        {"task": "app:f"},
        {"task": "app:f", "args": {"a": None}},
        {"task": "app:f", "args": (1, "two")},
        {"task": "app:g", "args": [], "queue": "mail", "priority": 0, "max_attempts": 3, "timeout_s": 2, "memory": "1GB"},
        MappingProxyType({"task": "app:f", "args": [1]}),
        {"task": "app:f", "delay_s": 5},
        {"task": "app:f", "run_at": datetime(2001, 1, 1, tzinfo=UTC)},
        {"args": ["\\u0000 is no NUL"], "task": "app:f"},
    ] * 3
    with_options: list[Mapping[str, Any]] = [{"task": "app:f", "retry": "1s to 10m"}, {"task": "app:f", "expires_s": 5, "args": [1]}] * 2
    fast, wide = made(jobs), made([*jobs, *with_options, *jobs])
    monkeypatch.setattr(RowMaker, "_remember", lambda *_: None)
    slow, slow_and_wide = made(jobs), made([*jobs, *with_options, *jobs])
    assert vars(fast) == vars(slow)
    assert vars(wide) == vars(slow_and_wide)
    assert fast.later == [5, 6, 13, 14, 21, 22]
    assert (fast.wide, wide.wide) == (False, True)
    assert (fast.expiring, wide.expiring) == ([], [25, 27])


def test_rows_are_wide_from_the_first_job_on_that_needs_it() -> None:
    """All rows of a chunk have as many fields, whichever of its jobs comes first; chunks before it stay as they are."""
    plain, rare = {"task": "app:f"}, {"task": "app:f", "retry": "1500ms"}
    source = iter([plain, plain, plain, rare, plain, rare, plain])
    maker = RowMaker(now_us=1000, find_class=lambda *_: 7, where=str)
    first, second, third = Rows(), Rows(), Rows()
    for rows in (first, second, second, third):
        maker.take(rows, source, jobs_max=2, bytes_max=1 << 20)
    assert (first.wide, second.wide, third.wide) == (False, True, True)
    fields = [[int.from_bytes(row[:2], "big") for row in rows.jobs] for rows in (first, second, third)]
    assert fields == [[8, 8], [12, 12, 12, 12], [12]]
    nothing, retry = b"\xff" * 16, (4).to_bytes(4, "big") + (1500).to_bytes(4, "big") + b"\xff" * 12
    assert [row[2 : -len(first.jobs[0][2:])] for row in second.jobs] == [nothing, retry, nothing, retry]
    assert {row[-len(first.jobs[0][2:]) :] for row in second.jobs + third.jobs} == {first.jobs[0][2:]}


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chunk ends at its bounds, and no more kinds are kept than KINDS_MAX."""
    taken: list[int] = []

    def endless() -> Iterator[dict[str, Any]]:
        while True:
            taken.append(1)
            yield {"task": f"app:f{len(taken)}", "args": ["x" * 1000]}

    monkeypatch.setattr(jobrows, "KINDS_MAX", 5)
    maker = RowMaker(now_us=0, find_class=lambda *_: 7, where=str)
    rows = Rows()
    maker.take(rows, endless(), jobs_max=50, bytes_max=1 << 20)
    assert len(rows.jobs) == 50 == len(taken)
    maker.take(rows, endless(), jobs_max=10_000, bytes_max=100_000)
    assert len(rows.jobs) == 150 == len(taken)
    assert sum(len(shape.kinds) for shape in maker._shapes.values()) <= 5


def test_an_iterator_that_raises_is_let_through() -> None:
    def raising() -> Iterator[dict[str, Any]]:
        yield GOOD
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        made(raising())
