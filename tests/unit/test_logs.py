"""Nobody waits for whoever reads the log, and its file is bounded."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from farm.supervisor.log import logs


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("farm", logging.INFO, "", 0, text, None, None)


def test_a_pipe_that_nobody_reads_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines are dropped and counted; when somebody reads again the rest of what was begun comes first."""
    theirs, ours = os.pipe()
    kept = os.dup(2)
    monkeypatch.setattr(logs, "WAIT_S", 0.01)
    try:
        os.dup2(ours, 2)
        handler = logs.StandardError()
        for number in range(5_000):
            handler.emit(record(f"{number} {'x' * 100}"))
        assert os.get_blocking(2), "it is the shell's as well"
        os.set_blocking(theirs, False)
        said = b""
        for _ in range(10):
            said += _read(theirs)
            handler.emit(record("after"))
        handler.emit(record("end"))
        said += _read(theirs)
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        handler.close()
        os.close(ours)
        os.close(theirs)
    lines = said.decode().splitlines()
    numbers = [int(line.split()[0]) for line in lines if line.endswith("x")]
    assert numbers == list(range(len(numbers)))
    assert any(line.startswith("[") and line.endswith(" lines dropped: nobody read them]") for line in lines)
    assert lines[-1] == "end"


def test_a_log_file_is_put_aside_when_it_is_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "FILE_BYTES_MAX", 1_000)
    handler = logs.LogFile(tmp_path / "farm.log")
    other = os.dup(handler.fd)
    for number in range(100):
        handler.emit(record(f"{number} {'x' * 50}"))
    os.write(handler.fd, b"from elsewhere\n")
    handler.close()
    os.close(other)
    assert {path.name for path in tmp_path.iterdir()} == {"farm.log", "farm.log.1"}
    assert all(path.stat().st_size < 1_100 for path in tmp_path.iterdir())
    kept = (tmp_path / "farm.log.1").read_text() + (tmp_path / "farm.log").read_text()
    assert kept.endswith("from elsewhere\n")
    assert f"99 {'x' * 50}\n" in kept


def test_who_prints_goes_on_with_the_file_that_took_the_place_of_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Descriptors that are led are the file, one after the other, until they are let go; then they are nobody's business."""
    monkeypatch.setattr(logs, "FILE_BYTES_MAX", 100)
    handler = logs.LogFile(tmp_path / "farm.log")
    led, let_go = os.open("/dev/null", os.O_WRONLY), os.open("/dev/null", os.O_WRONLY)
    handler.lead(led, let_go)
    handler.lead(led)
    os.dup2(other := os.open("/dev/null", os.O_WRONLY), let_go)
    for text in ("first", "x" * 200, "y" * 200):
        os.write(led, f"printed before {text[:5]}\n".encode())
        handler.emit(record(text))
    os.write(led, b"printed last\n")
    os.write(let_go, b"for nobody\n")
    handler.close()
    for fd in (led, let_go, other):
        os.close(fd)
    assert (tmp_path / "farm.log").read_text() == "printed last\n"
    assert (tmp_path / "farm.log.1").read_text() == f"printed before yyyyy\n{'y' * 200}\n"


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 1 << 16)
    except BlockingIOError:
        return b""


def test_a_traceback_holds_no_password() -> None:
    try:
        raise ValueError("cannot connect to postgresql://ada:secret@db/farm")
    except ValueError as error:
        told = logging.LogRecord("farm", logging.ERROR, "", 0, "broken", None, (type(error), error, error.__traceback__))
    for formatter in (logs.TextFormatter(), logs.JsonFormatter()):
        text = formatter.format(told)
        assert "postgresql://ada:***@db/farm" in text
        assert "secret" not in text
