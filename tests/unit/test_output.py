"""What children print, on its way from their pipe to the log."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator

import pytest

from farm.supervisor.processes.output import Output


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
