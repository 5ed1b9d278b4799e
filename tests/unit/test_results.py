"""What a job's result or exception becomes."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.model import JSON_DEPTH_MAX
from farm.subworker.results import MESSAGE_CHARS_MAX, TRACEBACK_CHARS_MAX, ResultError, encode_error, encode_result, error_payload

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=5), max_leaves=40)
BAD_LEAVES = st.sampled_from(
    [
        math.nan,
        math.inf,
        -math.inf,
        "a\0",
        "\ud800",
        "x\udfffy",
        2**64,
        -(2**63) - 1,
        {1: 2},
        {"k\0": 1},
        {"\udc00": 1},
        {1, 2},
        b"",
        object(),
    ]
)


@given(VALUES)
def test_json_comes_back(value: Any) -> None:
    """Everything that is JSON is kept as it is."""
    text = encode_result(value)
    assert json.loads(text) == value
    assert orjson.loads(text) == value


@given(st.lists(st.integers(0, 1) | st.sampled_from(["a", "ü", "null", "\\u0000"]), max_size=6), BAD_LEAVES, VALUES)
def test_one_bad_leaf_is_enough(way: list[int | str], bad: Any, beside: Any) -> None:
    """A value with anything in it that PostgreSQL or JSON does not have is refused, wherever it stands."""
    value = bad
    for step in way:
        value = {step: value, "beside": beside} if isinstance(step, str) else [beside, value][:: 1 if step else -1]
    with pytest.raises(ResultError):
        encode_result(value)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"a": [1, {"b": math.nan}]}, "result.a[1].b is nan"),
        (["ok", "bad\0"], "result[1] has a NUL character"),
        ({"k\0": 1}, "a key of result has a NUL character"),
        ({"a": {2: 3}}, "result.a has a key of type int"),
        ([2**64], "result[0] is an integer past 64 bits"),
        ("\ud800", "result has a lone surrogate"),
    ],
)
def test_reasons_name_the_place(value: Any, reason: str) -> None:
    """The reason says what is wrong, and where."""
    with pytest.raises(ResultError) as refused:
        encode_result(value)
    assert reason in str(refused.value)


def test_look_alikes_are_kept() -> None:
    """Texts that only look like what is refused are texts."""
    for value in ("null", "\\u0000", ["NaN", None], {"null": "\\\\u0000"}, "[" * 500):
        assert json.loads(encode_result(value)) == value


@pytest.mark.parametrize("made_of", [lambda inner: [inner], lambda inner: {"a": inner}])
def test_depth(made_of: Any) -> None:
    """As many levels as arguments may have are kept, one more is refused; so is what is far too deep."""
    value: Any = 1
    for _ in range(JSON_DEPTH_MAX):
        value = made_of(value)
    assert json.loads(encode_result(value)) == value
    with pytest.raises(ResultError, match="levels deep"):
        encode_result(made_of(value))
    for _ in range(10_000):
        value = made_of(value)
    with pytest.raises(ResultError):
        encode_result(value)


def test_many_brackets_side_by_side_are_not_deep() -> None:
    """Many lists beside each other are no depth."""
    assert json.loads(encode_result([[] for _ in range(1000)])) == [[] for _ in range(1000)]


def test_size() -> None:
    """What is longer than allowed is refused, by one byte too."""
    assert encode_result("x" * 98, bytes_max=100)
    for value in ("x" * 99, "ü" * 50, "x" * 101, ["x" * 97]):
        with pytest.raises(ResultError, match="at most 100"):
            encode_result(value, bytes_max=100)


def test_dataclasses_are_refused() -> None:
    """An object of a class of one's own is refused rather than turned into something."""

    @dataclass
    class Point:
        x: int

    with pytest.raises(ResultError):
        encode_result(Point(1))


def raised(error: BaseException) -> dict[str, str]:
    try:
        raise error
    except BaseException as caught:
        return json.loads(encode_error(caught))  # type: ignore[no-any-return]


def test_errors() -> None:
    """An exception becomes its type, its message and its traceback."""
    told = raised(ValueError("why"))
    assert (told["type"], told["message"]) == ("ValueError", "why")
    assert "raise error" in told["traceback"]


def test_nasty_errors() -> None:
    """Whatever an exception holds or does when it is printed, it can be stored."""

    class Odd(Exception):
        def __str__(self) -> str:
            raise SystemError("no")

    assert raised(Odd())["message"].startswith("unprintable")
    assert raised(ValueError("a\0b\ud800c"))["message"] == "a\\x00b\\ud800c"
    long = raised(ValueError("m" * 10**6))
    assert len(long["message"]) < MESSAGE_CHARS_MAX + 100
    assert len(long["traceback"]) < TRACEBACK_CHARS_MAX + 100
    assert raised(ExceptionGroup("both", [ValueError("one"), TypeError("two")]))["type"] == "ExceptionGroup"


@given(st.text(max_size=200), st.text(max_size=200), st.text(max_size=200))
def test_any_text_makes_an_error(kind: str, message: str, text: str) -> None:
    """Error texts of any characters become JSON without NUL and lone surrogates."""
    payload = error_payload(kind, message, text)
    told = json.loads(payload)
    assert not any("\0" in part or any("\ud800" <= each <= "\udfff" for each in part) for part in told.values())
