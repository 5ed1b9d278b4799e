"""What a service manager is told, over a socket of ours in its place."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from farm.supervisor.views.service import LOOK_S, OWED_S, STATUS_CHARS_MAX, Service

PID = 4711
Serve = Callable[[dict[str, str]], Service]


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The manager's end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        yield manager


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Make services by an environment; they are closed with the test."""
    services: list[Service] = []

    def make(environ: dict[str, str]) -> Service:
        services.append(Service(environ, pid=PID))
        return services[-1]

    yield make
    for service in services:
        service.close()


@pytest.fixture
def service_of(serve: Serve, manager: socket.socket) -> Callable[..., Service]:
    """Make services of the manager at the other end."""
    return lambda **environ: serve({"NOTIFY_SOCKET": manager.getsockname(), **environ})


def heard(manager: socket.socket) -> list[list[str]]:
    """Return all messages that have come, a list of lines each."""
    messages = []
    while True:
        try:
            messages.append(manager.recv(4096).decode().split("\n"))
        except BlockingIOError:
            return messages


def test_words_of_a_life(service_of: Callable[..., Service], manager: socket.socket) -> None:
    service = service_of()
    service.tell_ready("2 lanes")
    service.tell_reloading()
    service.tell_stopping("draining", 40.0)
    # A reload that is refused because the farm leaves.
    service.tell_reloading()
    service.tell_ready("2 lanes")
    service.close()
    service.tell_ready("nobody hears this")
    ready, reloading, stopping = heard(manager)
    assert ready == ["READY=1", "STATUS=2 lanes"]
    assert reloading[0] == "RELOADING=1"
    assert reloading[1].startswith("MONOTONIC_USEC=")
    assert stopping == ["STOPPING=1", "EXTEND_TIMEOUT_USEC=40000000", "STATUS=draining"]


def test_a_farm_of_nobody_says_nothing_and_asks_for_no_step(serve: Serve) -> None:
    service = serve({"WATCHDOG_USEC": "1000000"})
    assert not service.watched
    assert service.step(0.0, lambda: "fine") == float("inf")
    service.tell_ready("")


def test_what_the_manager_said_is_taken_out_of_the_environment(serve: Serve, manager: socket.socket) -> None:
    environ = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "6000000", "WATCHDOG_PID": str(PID), "OTHER": "1"}
    assert serve(environ).watched
    assert environ == {"OTHER": "1"}


def test_the_watchdog_is_fed_three_times_within_its_patience(service_of: Callable[..., Service], manager: socket.socket) -> None:
    service = service_of(WATCHDOG_USEC="6000000", WATCHDOG_PID=str(PID))
    now, times = 100.0, 0
    while now < 112.0:
        now += service.step(now, lambda: "fine")
        times += 1
    fed = [message for message in heard(manager) if message == ["WATCHDOG=1"]]
    assert len(fed) == 6
    assert times <= 8


def test_a_stuck_farm_is_not_fed_and_says_why_once(
    service_of: Callable[..., Service], manager: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "farm")
    service = service_of(WATCHDOG_USEC="3000000")
    service.stuck = lambda: "none was committed for 61 s"
    service.step(100.0, lambda: "fine")
    service.stuck = lambda: "none was committed for 62 s"
    service.step(101.0, lambda: "fine")
    assert heard(manager) == [["STATUS=stuck: none was committed for 61 s"]]
    service.stuck = str
    service.step(102.0, lambda: "fine")
    assert heard(manager) == [["WATCHDOG=1"], ["STATUS=fine"]]
    assert [(record.levelname, record.__dict__["event"]) for record in caplog.records] == [
        ("ERROR", "farm.stuck"),
        ("WARNING", "farm.gets_on"),
    ]
    assert "none was committed for 61 s" in caplog.text


def test_progress_is_looked_at_more_often_than_a_patient_watchdog_is_fed(service_of: Callable[..., Service]) -> None:
    """Two looks far apart would take something that stood in the way now and then for something that always does."""
    service = service_of(WATCHDOG_USEC="600000000")
    looks: list[float] = []

    def look() -> str:
        looks.append(now)
        return ""

    service.stuck = look
    now = 100.0
    while now < 160.0:
        now += service.step(now, lambda: "fine")
    assert len(looks) == 60 / LOOK_S


def test_a_watchdog_of_another_process_is_not_fed(service_of: Callable[..., Service], manager: socket.socket) -> None:
    service = service_of(WATCHDOG_USEC="3000000", WATCHDOG_PID="1")
    assert not service.watched
    service.step(100.0, lambda: "fine")
    assert heard(manager) == [["STATUS=fine"]]


@pytest.mark.parametrize("patience", ["", "soon", "-1", "0"])
def test_a_patience_that_is_none_watches_nothing(service_of: Callable[..., Service], patience: str) -> None:
    assert not service_of(WATCHDOG_USEC=patience).watched


def test_a_status_is_one_line_of_bounded_length(service_of: Callable[..., Service], manager: socket.socket) -> None:
    service_of().tell_ready("a\nREADY=0\x1b[31m" + "x" * 999)
    ((ready, status),) = heard(manager)
    assert (ready, len(status)) == ("READY=1", len("STATUS=") + STATUS_CHARS_MAX)


def test_an_address_without_a_name_in_the_file_system(serve: Serve) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0farm-test-service")
        manager.setblocking(False)
        serve({"NOTIFY_SOCKET": "@farm-test-service"}).tell_ready("here")
        assert heard(manager) == [["READY=1", "STATUS=here"]]


def test_a_manager_that_reads_nothing_is_not_waited_for(service_of: Callable[..., Service], manager: socket.socket) -> None:
    service = service_of()
    for _ in range(2000):
        service.tell_ready("x" * STATUS_CHARS_MAX)
    assert heard(manager)


@pytest.mark.parametrize("address", ["", "relative/path", "vsock:2:1234", "/no/such/socket"])
def test_an_address_that_leads_nowhere_harms_nobody(serve: Serve, address: str) -> None:
    service = serve({"NOTIFY_SOCKET": address})
    service.tell_ready("fine")
    service.tell_stopping("leaving", 1.0)
    service.close()


def test_that_it_is_ready_is_said_until_there_is_room_for_it(service_of: Callable[..., Service], manager: socket.socket) -> None:
    """The manager is slow and its queue is short; of everything else the next word will do."""
    service = service_of()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as others:
        others.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                others.sendto(b"STATUS=also here", manager.getsockname())
    service.tell_ready("1 lane")
    assert service.step(0.0, lambda: "1 lane") <= OWED_S
    heard(manager)
    assert service.step(1.0, lambda: "1 lane") > OWED_S
    assert heard(manager) == [["READY=1", "STATUS=1 lane"]]
