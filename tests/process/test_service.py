"""A farm as a service: what it tells the manager that started it, which here is a socket of ours, and the unit that comes with it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest

from farm.client import connect
from tests.process.conftest import MakeFarm
from tests.process.crew import wait_for

UNIT = Path(__file__).parents[2] / "configs" / "systemd" / "farm.service"


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        yield manager


def test_a_farm_tells_its_manager_how_it_does(make_farm: MakeFarm, manager: socket.socket) -> None:
    """Ready only when it takes work; the watchdog is fed; a reload begins and ends, a wrong one too; and it asks for time to drain."""
    seen: deque[str] = deque(maxlen=50)

    def hear(first: str) -> list[str]:
        while True:
            lines = manager.recv(4096).decode().split("\n")
            seen.append(lines[0])
            if lines[0] == first:
                return lines

    farm = make_farm(drain_timeout="7s")
    farm.start(ready=False, NOTIFY_SOCKET=manager.getsockname(), WATCHDOG_USEC="300000")
    (status,) = (line for line in hear("READY=1") if line.startswith("STATUS="))
    assert status == "STATUS=1 lane, 0 jobs running, 0 outcomes committed"
    assert "WATCHDOG=1" not in seen or farm.subworkers()
    hear("WATCHDOG=1")
    hear("WATCHDOG=1")
    farm.signal(signal.SIGHUP)
    hear("RELOADING=1")
    hear("READY=1")
    right = farm.config.read_text()
    farm.config.write_text("lanes: [wrong")
    farm.signal(signal.SIGHUP)
    hear("RELOADING=1")
    hear("READY=1")
    farm.config.write_text(right)
    farm.signal(signal.SIGTERM)
    stopping = hear("STOPPING=1")
    assert "EXTEND_TIMEOUT_USEC=37000000" in stopping
    assert farm.wait() == 0


def test_a_stopped_farm_is_not_taken_for_a_living_one(make_farm: MakeFarm, manager: socket.socket) -> None:
    """What feeds the watchdog is the loop that does the work: while that stands still nothing is fed, whatever else lives."""
    farm = make_farm()
    farm.start(NOTIFY_SOCKET=manager.getsockname(), WATCHDOG_USEC="300000")
    while manager.recv(4096) != b"WATCHDOG=1":
        pass
    farm.signal(signal.SIGSTOP)
    wait_for(lambda: Path(f"/proc/{farm.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T", "the stop")
    manager.setblocking(False)
    while True:
        try:
            manager.recv(4096)
        except BlockingIOError:
            break
    # So long a systemd would have waited.
    manager.settimeout(0.5)
    with pytest.raises(TimeoutError):
        manager.recv(4096)
    farm.signal(signal.SIGCONT)
    manager.settimeout(20)
    while manager.recv(4096) != b"WATCHDOG=1":
        pass
    farm.stop()


HASTY = """
import sys
from farm.metrics import health
health.STILL_S = 0.5
sys.argv[:4] = ["farm"]
from farm.cli.main import main
sys.exit(main())
"""
"""A farm that says after half a second what takes a minute, as all of it does that tests wait for."""


@pytest.mark.parametrize("who", ["writer", "subworkers"])
def test_a_farm_that_makes_no_progress_is_not_fed_and_says_why_once(
    make_farm: MakeFarm, manager: socket.socket, dsn: str, who: str
) -> None:
    """No metrics are configured, the main loop turns and every thread gets on: that alone is not what farms are for."""
    farm = make_farm(wrapper=[sys.executable, "-c", HASTY])
    farm.start(NOTIFY_SOCKET=manager.getsockname(), WATCHDOG_USEC="300000")
    stopped = [farm.writer()] if who == "writer" else farm.all_subworkers(2)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    with connect(dsn) as client:
        client.enqueue_many([{"task": "chores:give_text", "args": [5]}] * 10)
    try:
        while b"STATUS=stuck: " not in (said := manager.recv(4096)):
            pass
        assert (b"outcomes wait, and none was committed" if who == "writer" else b"and has started none") in said
        # So long a systemd would have waited.
        manager.settimeout(0.5)
        with pytest.raises(TimeoutError):
            manager.recv(4096)
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    manager.settimeout(20)
    while manager.recv(4096) != b"WATCHDOG=1":
        pass
    farm.wait_log("there is progress again: the watchdog is fed")
    farm.stop()
    assert len(farm.log_lines("no progress: the watchdog is not fed any more")) == 1


def test_a_farm_whose_jobs_run_for_long_is_fed(make_farm: MakeFarm, manager: socket.socket, dsn: str, tmp_path: Path) -> None:
    """One runs in each slot, and others wait behind them: that is work."""
    farm = make_farm(wrapper=[sys.executable, "-c", HASTY])
    farm.start(NOTIFY_SOCKET=manager.getsockname(), WATCHDOG_USEC="300000")
    farm.all_subworkers(2)
    gone = tmp_path / "gone"
    gone.touch()
    with connect(dsn) as client:
        client.enqueue_many([{"task": "chores:mark_until", "args": [str(tmp_path / f"mark{number}"), 1, str(gone)]} for number in range(2)])
        wait_for(lambda: all((tmp_path / f"mark{number}").exists() for number in range(2)), "both to run")
        client.enqueue_many([{"task": "chores:give_text", "args": [5]}] * 10)
    for _ in range(20):
        # A second and more, with a patience that is over after half of one.
        while (said := manager.recv(4096)) != b"WATCHDOG=1":
            assert b"stuck" not in said
    gone.unlink()
    farm.stop()


def test_systemd_takes_the_unit_that_comes_with_farm(tmp_path: Path) -> None:
    verify = shutil.which("systemd-analyze")
    if verify is None:
        pytest.skip("no systemd on this machine, so nobody to ask (Debian's package systemd has systemd-analyze)")
    # Its programs stand elsewhere here; nothing else is changed.
    unit = tmp_path / "farm.service"
    unit.write_text(UNIT.read_text().replace("/opt/farm/bin/farm", "/bin/true"))
    done = subprocess.run([verify, "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
