"""Zygotes that a reload has replaced, and what becomes of them."""

from __future__ import annotations

import socket
from typing import Any

from farm.supervisor.crew.mainstays import Mainstays


class FakeZygote:
    """What is used of one."""

    def __init__(self, pid: int, expected: set[str]) -> None:
        self.pid = pid
        self.born_at = 0.0
        self.expected = expected
        self.control, self.theirs = socket.socketpair()

    def close(self) -> None:
        self.control.close()
        self.theirs.close()


class Fakes:
    """All that Mainstays asks of others; what is watched is noted."""

    def __init__(self) -> None:
        self.generations = [type("Unborn", (), {"name": "w0.2", "pid": 0, "phase": None})()]
        self.watched: set[int] = set()
        self.heard: list[Any] = []
        self.pid = 1

    def watch(self, fd: int, _call: Any) -> None:
        self.watched.add(fd)

    def unwatch(self, fd: int) -> None:
        self.watched.remove(fd)

    def hear_births(self, zygote: Any) -> None:
        self.heard.append(zygote)

    def make_zygote(self, _config: Any) -> FakeZygote:
        return FakeZygote(12, set())

    def tell_writer(self, _writer: Any, _config: Any) -> None:
        pass


def test_a_replaced_zygote_that_dies_is_watched_no_more() -> None:
    """Its socket is at its end for good: it would wake the loop again and again."""
    fakes: Any = Fakes()
    old: Any = FakeZygote(11, {"w0.2"})
    mainstays = Mainstays(config=fakes, loop=fakes, children=fakes, crew=fakes, zygote=old, writer=fakes)
    mainstays.adopt(fakes)
    mainstays.step()
    fd = old.control.fileno()
    assert fd in fakes.watched, "somebody is still to be born of it"
    assert not mainstays.note_death(13, 9)
    assert mainstays.note_death(11, 9)
    assert fd not in fakes.watched
    assert fakes.heard == [old], "what it had told before is heard"
    new: Any = mainstays.zygote
    assert fakes.watched == {new.control.fileno()}
    new.close()
