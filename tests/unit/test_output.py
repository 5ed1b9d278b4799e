"""What children print, on its way from their pipe to the log."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator

import pytest

from farm.supervisor.processes.output import LINE_CHARS_MAX, Output


@pytest.fixture
def pipe() -> Iterator[tuple[Output, int]]:
    ours, theirs = os.pipe()
    yield Output("w0 (default)", ours), theirs
    os.close(theirs)


def test_the_end_of_a_pipe_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """A step tells whether anything can still come, so that a pipe at its end is not watched for ever."""
    caplog.set_level(logging.INFO)
    ours, theirs = os.pipe()
    output = Output("w0 (default)", ours)
    assert output.step(1.0)
    os.write(theirs, b"one\nrest")
    assert output.step(1.0)
    os.close(theirs)
    assert not output.step(1.0)
    output.close()
    assert [record.getMessage() for record in caplog.records] == ["w0 (default) | one", "w0 (default) | rest"]


def test_what_looks_like_a_password_is_not_logged(pipe: tuple[Output, int], caplog: pytest.LogCaptureFixture) -> None:
    """A program that a job starts may print its whole DSN when it cannot connect; also one that stands where the line is cut."""
    caplog.set_level(logging.INFO)
    output, theirs = pipe
    dsn = b"postgresql://ada:s3cret@db/farm"
    os.write(theirs, b"no " + dsn + b"\n" + b"host=db password='s3 cret'\n" + b"x" * (LINE_CHARS_MAX - 22) + b" " + dsn + b"\n")
    output.step(1.0)
    output.close()
    told = [record.getMessage().partition(" | ")[2] for record in caplog.records]
    assert told[:2] == ["no postgresql://ada:***@db/farm", "host=db password=***"]
    assert told[2].startswith("x" * (LINE_CHARS_MAX - 22) + " postgresql://ada:***@ [... ")


def test_closing_a_pipe_that_is_being_flooded(pipe: tuple[Output, int]) -> None:
    """Whoever writes faster than we read cannot keep us from closing the pipe."""
    output, theirs = pipe
    ended = threading.Event()

    def flood() -> None:
        while not ended.is_set():
            try:
                os.write(theirs, b"y" * 65_536)
            except BrokenPipeError:
                return

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        output.close()
    finally:
        ended.set()
        thread.join()
