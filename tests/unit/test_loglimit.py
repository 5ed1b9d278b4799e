"""Of log lines that are alike some are let through and the rest counted, and no password stands in any."""

from __future__ import annotations

import logging

import pytest

from farm.supervisor.log.loglimit import ALIKE_MAX, KINDS_MAX, WINDOW_S, Limited


class Kept(logging.Handler):
    """Keeps the lines that it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.levelname} {record.getMessage()}")


class Log:
    """A limited log with a clock of the test's own."""

    def __init__(self) -> None:
        self.now = 0.0
        self.kept = Kept()
        self.handler = Limited(self.kept, clock=lambda: self.now)

    def say(self, text: str, *values: object, level: int = logging.INFO, name: str = "farm") -> None:
        self.handler.handle(logging.LogRecord(name, level, "", 0, text, values, None))

    @property
    def lines(self) -> list[str]:
        return self.kept.lines


@pytest.fixture
def log() -> Log:
    return Log()


def test_lines_that_are_alike_are_counted_once_there_are_many(log: Log) -> None:
    for number in range(ALIKE_MAX + 7):
        log.say("w%d crashed", number, level=logging.WARNING)
    log.say("ready")
    assert log.lines[-2:] == [f"WARNING w{ALIKE_MAX - 1} crashed", "INFO ready"]
    log.now += WINDOW_S
    log.say("ready")
    assert log.lines[-2:] == [f"WARNING [7 more lines like this within {WINDOW_S:g} s: w%d crashed]", "INFO ready"]
    log.say("w%d crashed", 99)
    assert log.lines[-1] == "INFO w99 crashed"


def test_what_is_left_to_tell_is_told_at_the_end(log: Log) -> None:
    for _ in range(ALIKE_MAX + 1):
        log.say("again")
    log.handler.close()
    assert log.lines[-1] == f"INFO [1 more lines like this within {WINDOW_S:g} s: again]"


def test_what_jobs_print_has_a_limit_of_its_own(log: Log) -> None:
    for _ in range(10 * ALIKE_MAX):
        log.say("%s", "text", name="farm.output")
    assert len(log.lines) == 10 * ALIKE_MAX


def test_memory_is_bounded_however_many_kinds_there_are(log: Log) -> None:
    for number in range(KINDS_MAX + 500):
        log.say(f"text {number}")
    assert len(log.lines) == KINDS_MAX + ALIKE_MAX
    for _ in range(3):
        log.say("text 0")
    assert len(log.lines) == KINDS_MAX + ALIKE_MAX + 3


def test_no_password_is_let_through(log: Log) -> None:
    log.say("cannot connect to %s", "postgresql://ada:secret@db/farm")
    log.say("with host=db password=secret")
    assert log.lines == ["INFO cannot connect to postgresql://ada:***@db/farm", "INFO with host=db password=***"]


def test_fields_and_rows_go_along(log: Log) -> None:
    kept: list[logging.LogRecord] = []
    log.kept.emit = kept.append  # type: ignore[assignment,method-assign]
    record = logging.LogRecord("farm", logging.INFO, "", 0, "at postgresql://a:b@c/d", (), None)
    record.fields, record.rows = {"n": 1}, ("row",)
    log.handler.handle(record)
    assert (kept[0].getMessage(), kept[0].fields, kept[0].rows) == ("at postgresql://a:***@c/d", {"n": 1}, ("row",))  # type: ignore[attr-defined]


def test_no_password_stands_in_what_goes_along(log: Log) -> None:
    kept: list[logging.LogRecord] = []
    log.kept.emit = kept.append  # type: ignore[assignment,method-assign]
    record = logging.LogRecord("farm", logging.INFO, "", 0, "gone", (), None)
    record.fields, record.rows = {"why": "no postgresql://a:b@c", "of": ["password=b", 1], "n": None}, ("password=b",)
    log.handler.handle(record)
    assert kept[0].fields == {"why": "no postgresql://a:***@c", "of": ["password=***", 1], "n": None}  # type: ignore[attr-defined]
    assert kept[0].rows == ("password=***",)  # type: ignore[attr-defined]


def test_a_line_that_cannot_be_put_into_words_stops_nobody(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    log.say("%d jobs", "many")
    log.say("ready")
    assert log.lines == ["INFO ready"]
