"""What a job holds cannot steer the terminal on which it is shown."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.cli.plain import as_json, compact_json, many_lines, one_line, shortened


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ünïcode 日本", "plain ünïcode 日本"),
        ("a\x1b[31mred\x1b[0m b", "ared b"),
        ("\x1b]0;new title\x07x", "x"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b31mx", "x"),
        ("one\ntwo\r\n three\tfour", "one two three four"),
        ("bell\x07 back\x08space nul\0", "bell backspace nul"),
        ("right\u202eto left\u2066", "rightto left"),
        ("\x1bc reset", "reset"),
        ("\ud800 alone", "alone"),
        ("", ""),
        (17, "17"),
    ],
)
def test_one_line_is_printable_and_one_line(text: object, shown: str) -> None:
    assert one_line(text) == shown


@given(st.text(st.characters()))
def test_nothing_that_steers_survives(text: str) -> None:
    for line in [one_line(text), *many_lines(text)]:
        assert not set(line) & {chr(code) for code in [*range(32), 127, *range(0x80, 0xA0), 0x202E, 0x2066]}


def test_a_traceback_keeps_its_lines_and_indentation() -> None:
    assert many_lines("Traceback:\n  File \x1b[1mx\n\tdeep\x07\n") == ["Traceback:", "  File x", "        deep"]


def test_what_is_cut_says_so() -> None:
    assert shortened("abcdef", 6) == "abcdef"
    assert shortened("abcdefg", 6) == "abc..."


def test_json_for_programs_is_ascii_with_times_in_utc() -> None:
    moment = datetime(2026, 5, 1, 9, tzinfo=timezone(timedelta(hours=2)))
    text = as_json({"at": moment, "text": "\x9b31m\u202eü"})
    assert text.isascii()
    assert json.loads(text) == {"at": "2026-05-01T07:00:00Z", "text": "\x9b31m\u202eü"}
    assert compact_json({"a": [1, "ü"], "at": datetime(2026, 5, 1, tzinfo=UTC)}) == '{"a": [1, "ü"], "at": "2026-05-01T00:00:00Z"}'
