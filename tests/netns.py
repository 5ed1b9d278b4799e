"""A network of two ends, one of them in a namespace of its own, whose packets can be dropped, slowed down and refused. Root only."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from types import TracebackType
from typing import Self

import pytest

TABLE = f"farmtest{os.getpid()}"


@cache
def why_no_networks() -> str:
    """Say why no network can be made here, "" if it can."""
    if os.geteuid():
        return "only root may make networks"
    if shutil.which("ip") is None:
        return "there is no `ip` here (iproute2): partitions are not tested"
    try:
        with Net():
            return ""
    except subprocess.CalledProcessError as error:
        return f"no network namespace can be made here: {error.stderr.decode().strip()}"


needs_root = pytest.mark.skipif("__import__('tests.netns', fromlist=['x']).why_no_networks()")


@cache
def has_filter() -> bool:
    """Say whether single packets can be lost and refused: that takes nft."""
    return shutil.which("nft") is not None


class Net:
    """Two addresses joined by a cable. The far end is in the namespace `name`; the near end, where PostgreSQL is, in that of the tests."""

    def __init__(self) -> None:
        number = os.getpid()
        self.name = f"farm{number}"
        self._cable = f"fv{number}"
        # A block of its own for each run of tests that is at work on this machine.
        block = f"10.{200 + (number >> 14) % 50}.{(number >> 6) % 256}"
        self.near, self.far = f"{block}.{(number % 64) * 4 + 1}", f"{block}.{(number % 64) * 4 + 2}"

    def __enter__(self) -> Self:
        try:
            _run("ip", "netns", "add", self.name)
            _run("ip", "link", "add", self._cable, "type", "veth", "peer", "name", "far", "netns", self.name)
            _run("ip", "addr", "add", f"{self.near}/30", "dev", self._cable)
            _run("ip", "link", "set", self._cable, "up")
            self._far("ip", "addr", "add", f"{self.far}/30", "dev", "far")
            self._far("ip", "link", "set", "far", "up")
        except subprocess.CalledProcessError:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.heal()
        _try("ip", "link", "del", self._cable)
        _try("ip", "netns", "del", self.name)

    @property
    def wrapper(self) -> list[str]:
        """Return what goes before a command that is to run at the far end."""
        return ["ip", "netns", "exec", self.name]

    def cut(self, *, both_ways: bool) -> None:
        """Drop everything that goes to the far end, and what comes from it, too, if both ways."""
        _run("ip", "route", "add", "blackhole", f"{self.far}/32")
        if both_ways:
            self._far("ip", "route", "add", "blackhole", f"{self.near}/32")

    def slow_down(self, rate: str) -> None:
        """Let no more than so much go to the far end, such as `64kbit`."""
        _run("tc", "qdisc", "add", "dev", self._cable, "root", "tbf", "rate", rate, "burst", "4k", "latency", "400ms")

    def lose(self, percent: int) -> None:
        """Lose packets from the far end at random."""
        self._filter(f"numgen random mod 100 < {percent} drop")

    def refuse(self) -> None:
        """Reset every new connection from the far end."""
        self._filter("tcp flags & (syn|ack) == syn reject with tcp reset")

    def heal(self) -> None:
        """Let everything pass again."""
        _try("ip", "route", "del", "blackhole", f"{self.far}/32")
        _try(*self.wrapper, "ip", "route", "del", "blackhole", f"{self.near}/32")
        _try("tc", "qdisc", "del", "dev", self._cable, "root")
        if has_filter():
            _try("nft", "delete", "table", "inet", TABLE)

    def _filter(self, rule: str) -> None:
        _run("nft", f"add table inet {TABLE}")
        _run("nft", f"add chain inet {TABLE} arriving {{ type filter hook input priority 0; }}")
        _run("nft", f'add rule inet {TABLE} arriving iifname "{self._cable}" {rule}')

    def _far(self, *command: str) -> None:
        _run(*self.wrapper, *command)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def _try(*command: str) -> None:
    subprocess.run(command, check=False, capture_output=True)
