"""Processes that cannot be made: the zygote says so and goes on, and the log says once what is missing."""

from __future__ import annotations

import errno
import logging
import os
import socket
from dataclasses import replace

import orjson
import pytest

from farm.subworker import zygote
from farm.subworker.order import Descriptors, ForkOrder
from farm.supervisor.crew.shortage import AGAIN_S, Shortage

ORDER = ForkOrder(
    name="w0.1",
    path="",
    lane="default",
    concurrency=1,
    memory_bytes=0,
    runners=(),
    env={},
    spill_directory="",
    spill_owner="",
    spill_bytes_max=0,
    supervisor_pid=0,
)


@pytest.mark.parametrize("forks", [0, 1])
def test_no_more_processes(forks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a limit of processes a zygote tells which subworker cannot be born, of the process in the middle too, and goes on."""
    left = [forks]
    fork = os.fork

    def limited() -> int:
        if not left[0]:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        left[0] -= 1
        return fork()

    monkeypatch.setattr(os, "fork", limited)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        ours.settimeout(20)
        for name in ("w0.1", "w0.2"):
            left[0] = forks
            given = [os.open(os.devnull, os.O_RDONLY) for _ in range(5)]
            zygote._fork(theirs, os.getpid(), replace(ORDER, name=name), _passed(given))
            assert orjson.loads(ours.recv(4096)) == {"name": name, "pid": 0, "error": os.strerror(errno.EAGAIN)}
            for descriptor in given:
                with pytest.raises(OSError):
                    os.fstat(descriptor)


def _passed(given: list[int]) -> Descriptors:
    wake, writer, supervisor, output, output_end = given
    return Descriptors(wake=wake, writer=writer, supervisor=supervisor, output=output, output_end=output_end)


def test_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """What is missing is said once, something else at once, the same again after a while; and that nothing is missing any more."""
    caplog.set_level(logging.WARNING)
    shortage = Shortage("cpu", 2)
    shortage.note_full()
    for at in (0.0, 1.0, 2.0):
        shortage.note(1, "no room", at)
    shortage.note(0, "no room", 3.0)
    shortage.note(0, "no room", 4.0 + AGAIN_S)
    shortage.note_full()
    shortage.note_full()
    said = [record.getMessage().partition(";")[0] for record in caplog.records]
    assert said == [
        "lane cpu has 1 of 2 subworkers: no room",
        *["lane cpu has 0 of 2 subworkers: no room"] * 2,
        "lane cpu has all its subworkers again",
    ]


def test_a_missing_spare_is_told_only_where_nobody_else_is_missing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    shortage = Shortage("cpu", 2)
    shortage.note_no_spare("no room", 0.0)
    shortage.note_no_spare("no room", 1.0)
    assert shortage.why == "no spare subworker: no room"
    shortage.note(1, "no process", 2.0)
    shortage.note_no_spare("no room", 3.0)
    assert shortage.why == "no process"
    shortage.note_full()
    shortage.note_spare()
    assert shortage.why == ""
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR", "WARNING"]
