"""Durations, sizes and times are read strictly and shown briefly."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.model import memory_class_bytes, memory_class_mb
from farm.units import (
    DURATION_S_MAX,
    RETRY_PATTERN,
    counted,
    format_duration,
    format_memory_class,
    format_retry,
    format_size,
    format_time,
    parse_duration,
    parse_expires,
    parse_retry,
    parse_size,
    parse_time,
    written_size,
)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("250ms", 0.25), ("10s", 10), ("5m", 300), ("1h", 3600), ("2d", 172800), ("1.5 s", 1.5), (".5s", 0.5), ("7", 7), (0, 0), (2.5, 2.5)],
)
def test_a_duration_is_a_number_with_a_unit_or_of_seconds(value: object, seconds: float) -> None:
    assert parse_duration(value) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "value",
    ["", "s", "1:30", "-1s", "1e3", "10 parsecs", "1_000s", "٣s", None, True, [], float("nan"), float("inf"), -1, 10**400, "9" * 60 + "s"],
)
def test_anything_else_is_no_duration(value: object) -> None:
    with pytest.raises(ValueError, match=r"^expected a duration") as caught:
        parse_duration(value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "base_s", "cap_s"),
    [
        ("10s", 10, None),
        ("0s", 0, None),
        (0, 0, None),
        (2.5, 2.5, None),
        ("7", 7, None),
        ("20d", 1_728_000, None),
        ("1s to 10m", 1, 600),
        (" 250 ms  to\t1.5h ", 0.25, 5400),
        (".5 to .5", 0.5, 0.5),
    ],
)
def test_a_retry_waits_always_so_long_or_longer_each_time(value: object, base_s: float, cap_s: float | None) -> None:
    assert parse_retry(value) == (base_s, cap_s)
    assert not isinstance(value, str) or re.fullmatch(RETRY_PATTERN, value.strip())


NO_RETRY: list[object] = [
    "",
    "s",
    "soon",
    "1s to",
    "to 1s",
    "1sto 2s",
    "1s-2s",
    "1s to 2s to 3s",
    "10m to 1s",
    "0s to 1s",
    "21d",
    "1s to 21d",
]
NO_RETRY += ["-1s", "1s TO 2s", "9" * 200, "1s" + " " * 200 + "to 2s", True, None, -1, 1_728_001, float("nan"), [1, 2]]


@pytest.mark.parametrize("value", NO_RETRY)
def test_anything_else_is_no_retry(value: object) -> None:
    with pytest.raises(
        ValueError, match=r"^expected a delay such as 10s, or one that grows such as 1s to 10m, at most 20d, got "
    ) as caught:
        parse_retry(value)
    assert "\n" not in str(caught.value)


@given(st.integers(0, 1 << 20), st.sampled_from([1, 10**3, 10**6, 10**9, 1 << 10, 1 << 20, 1 << 30]))
def test_a_size_is_written_as_it_is_read(number: int, unit: int) -> None:
    assert parse_size(written_size(number * unit)) == number * unit


@pytest.mark.parametrize(
    ("size_bytes", "text"), [(0, "0B"), (1 << 10, "1KiB"), (16 << 20, "16MiB"), (512_000_000, "512MB"), (1 << 50, "1024TiB"), (17, "17B")]
)
def test_a_size_is_written_briefly(size_bytes: int, text: str) -> None:
    assert written_size(size_bytes) == text


@given(st.integers(0, 1_728_000_000), st.none() | st.integers(0, 1_728_000_000), st.sampled_from([1, 1000, 60_000, 86_400_000]))
def test_a_retry_is_shown_as_it_is_read(base: int, growth: int | None, unit: int) -> None:
    base_ms = base // unit * unit
    cap_ms = None if growth is None or not base_ms else min(base_ms + growth // unit * unit, 1_728_000_000)
    base_s, cap_s = parse_retry(format_retry(base_ms, cap_ms))
    assert (round(base_s * 1000), None if cap_s is None else round(cap_s * 1000)) == (base_ms, cap_ms)


def test_what_expires_does_so_after_a_while_or_at_a_time() -> None:
    assert parse_expires("5m") == 300
    assert parse_expires(2.5) == 2.5
    assert parse_expires(" 2026-05-01 07:00Z ") == datetime(2026, 5, 1, 7, tzinfo=UTC)
    with pytest.raises(ValueError, match=r"with an offset, such as 2026-05-01T09:00:00\+00:00"):
        parse_expires("2026-05-01T09:00:00")
    for value in ("soon", "", -1, True, None, "200000d"):
        with pytest.raises(ValueError, match=r"^expected a duration such as 5m or a time such as 2026-05-01T09:00:00\+02:00, got "):
            parse_expires(value)


@pytest.mark.parametrize(("value", "size"), [("512MB", 512_000_000), ("512MiB", 512 << 20), ("1.5 GB", 1_500_000_000), ("17", 17), (0, 0)])
def test_mb_are_millions_of_bytes_and_mib_powers_of_two(value: object, size: int) -> None:
    assert parse_size(value) == size


@pytest.mark.parametrize("value", ["", "MB", "1 mb", "-1MB", "lots", None, False, -5, "1PiB", 1 << 61])
def test_anything_else_is_no_size(value: object) -> None:
    with pytest.raises(ValueError, match=r"^expected a size"):
        parse_size(value)


def test_a_time_needs_an_offset_and_the_message_shows_how() -> None:
    assert parse_time("2026-05-01T09:00:00+02:00") == datetime(2026, 5, 1, 7, tzinfo=UTC)
    assert parse_time(" 2026-05-01 07:00Z ") == datetime(2026, 5, 1, 7, tzinfo=UTC)
    with pytest.raises(ValueError, match=r"with an offset, such as 2026-05-01T09:00:00\+00:00"):
        parse_time("2026-05-01T09:00:00")


@pytest.mark.parametrize("text", ["", "tomorrow", "2026-02-30T00:00Z", "2026-05-01", "20260501T090000Z", "2026-05-01T25:00Z", "infinity"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="time"):
        parse_time(text)


@given(st.floats(0, DURATION_S_MAX))
def test_every_duration_is_shown_in_few_characters_that_begin_with_a_digit(seconds: float) -> None:
    shown = format_duration(seconds)
    assert len(shown) <= 10
    assert shown[0].isdigit()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (2e-5, "20us"),
        (0.02, "20ms"),
        (0.9996, "1s"),
        (1.254, "1.25s"),
        (59.97, "1m"),
        (200, "3m 20s"),
        (90061, "1d 1h"),
        (-2, "-2s"),
    ],
)
def test_durations_as_shown(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(("size", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (1.5e9, "1.5 GB"), (8.4e15, "8,400 TB")])
def test_sizes_as_shown(size: float, text: str) -> None:
    assert format_size(size) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(None, None), (256_000_000, "256 MB"), (1 << 28, "256 MiB"), (64_000_000_000, "64 GB"), (1 << 31, "2 GiB"), (1 << 40, "1 TiB")],
)
def test_memory_classes_are_shown_in_their_own_units(size: int | None, text: str | None) -> None:
    assert format_memory_class(size) == text
    assert size is None or memory_class_bytes(memory_class_mb(size)) == size


def test_one_is_not_many() -> None:
    assert [counted(number, "job") for number in (0, 1, 2000)] == ["0 jobs", "1 job", "2,000 jobs"]


def test_times_are_shown_in_utc() -> None:
    moment = datetime(2026, 5, 1, 9, tzinfo=UTC).astimezone(tz=None) + timedelta(microseconds=3)
    assert format_time(moment) == "2026-05-01 09:00:00Z"


@pytest.mark.parametrize("parse", [parse_duration, parse_size, parse_time])
@given(st.text())
def test_no_text_breaks_a_parser(parse: Callable[[str], object], text: str) -> None:
    try:
        complaint = "" if parse(text) is not None else "?"
    except ValueError as error:
        complaint = str(error)
    assert complaint.isprintable()
