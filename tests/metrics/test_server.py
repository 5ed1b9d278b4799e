"""The HTTP server: what it answers, and whom it does not wait for."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from urllib.parse import urlsplit

import pytest

from farm.errors import FarmError
from farm.metrics import server as module
from farm.metrics.server import CLIENTS_MAX, REQUEST_BYTES_MAX, REST_FACTOR, REST_S_MAX, Answer, Server
from tests.process.crew import wait_for

BIG = b"x" * 20_000_000


def wrong() -> Answer:
    raise ValueError("so it is")


PAGES = {"/small": lambda: Answer(200, [b"here\n"]), "/big": lambda: Answer(200, [BIG[:1000], b"", BIG[1000:]]), "/wrong": wrong}


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server("127.0.0.1", 0, pages=PAGES, tick=lambda: None)
    made.start()
    yield made
    made.close()


def ask(server: Server, path: str, method: str = "GET") -> tuple[int, bytes]:
    parts = urlsplit(server.url)
    with closing(http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)) as client:
        client.request(method, path)
        answer = client.getresponse()
        return answer.status, answer.read()


def connected(server: Server, data: bytes = b"") -> socket.socket:
    parts = urlsplit(server.url)
    client = socket.create_connection((parts.hostname, parts.port), timeout=30)
    client.sendall(data)
    return client


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_pages_are_answered_and_everything_else_is_refused(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    assert ask(server, "/small?x=1") == (200, b"here\n")
    assert ask(server, "/small", "HEAD") == (200, b"")
    assert ask(server, "/big") == (200, BIG)
    assert ask(server, "/other") == (404, b"there are /small, /big, /wrong\n")
    assert ask(server, "/small", "POST")[0] == 405
    assert ask(server, "/wrong")[0] == 500
    assert "so it is" in caplog.text


@pytest.mark.parametrize(
    "nonsense", [b"\x16\x03\x01\r\n\r\n", b"GET /small\r\n\r\n", b"GET / x HTTP/1.1\n\n", b"x" * (REQUEST_BYTES_MAX + 1)]
)
def test_nonsense_is_answered_and_let_go(server: Server, nonsense: bytes) -> None:
    with connected(server, nonsense) as client:
        assert client.recv(100).startswith(b"HTTP/1.1 400 ")


def test_clients_that_do_not_ask_or_do_not_read_hold_up_nobody(server: Server) -> None:
    with connected(server, b"GET /sm"), connected(server, b"GET /big HTTP/1.1\r\n\r\n"), connected(server):
        assert ask(server, "/small") == (200, b"here\n")


def test_a_client_that_takes_its_time_is_let_go(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ASK_S", 0.05)
    with connected(server, b"GET /sm") as client:
        assert client.recv(1) == b""


def test_whoever_says_nothing_makes_room_for_others(server: Server) -> None:
    """The one that has been there for longest; so nobody keeps others out by connecting."""
    clients = [connected(server, b"GET /sm") for _ in range(CLIENTS_MAX)]
    assert ask(server, "/small") == (200, b"here\n")
    assert clients[0].recv(1) == b""
    for client in clients:
        client.close()


def test_there_are_no_more_clients_than_it_can_have(server: Server) -> None:
    """Those that read their answers are not disturbed."""
    clients = [connected(server, b"GET /big HTTP/1.1\r\n\r\n") for _ in range(CLIENTS_MAX)]
    wait_for(lambda: [client.answer is None for client in server._clients.values()] == [False] * CLIENTS_MAX, "all of them to read")
    with connected(server) as late:
        assert late.recv(1) == b""
    for client in clients:
        client.close()
    wait_for(lambda: not server._clients, "them to be gone")
    assert ask(server, "/small") == (200, b"here\n")


def test_a_port_that_is_taken_and_an_address_that_is_nowhere_are_refused_in_one_line(server: Server) -> None:
    port = urlsplit(server.url).port or 0
    with pytest.raises(FarmError, match=rf"^metrics: cannot listen on 127\.0\.0\.1, port {port}: Address already in use$"):
        Server("127.0.0.1", port, pages={}, tick=lambda: None)
    with pytest.raises(FarmError, match=r"^metrics: cannot listen on no\.such\.host\.invalid, port 0: "):
        Server("no.such.host.invalid", 0, pages={}, tick=lambda: None)
    for host in ("a..b", "a" * 64):
        with pytest.raises(FarmError, match=rf"^metrics: cannot listen on {host}, port 0: this can be no name of a machine$"):
            Server(host, 0, pages={}, tick=lambda: None)


@pytest.mark.parametrize(("host", "shown"), [("localhost", "127.0.0.1"), ("::1", "[::1]"), ("::", "[::]")])
def test_it_listens_where_it_is_told(host: str, shown: str) -> None:
    if ":" in host and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    server = Server(host, 0, pages=PAGES, tick=lambda: None)
    server.start()
    assert server.url.startswith(f"http://{shown}:")
    assert ask(server, "/small") == (200, b"here\n")
    server.close()


def test_whoever_asks_without_a_pause_gets_a_share_of_the_time() -> None:
    """Pages that take a while are made with rests between them, nine times as long."""
    spans: list[tuple[float, float]] = []

    def slow() -> Answer:
        begun = time.monotonic()
        time.sleep(0.01)
        spans.append((begun, time.monotonic()))
        return Answer(200, [])

    server = Server("127.0.0.1", 0, pages={"/slow": slow}, tick=lambda: None)
    server.start()
    for _ in range(4):
        assert ask(server, "/slow")[0] == 200
    server.close()
    for (begun, ended), (following, _) in pairwise(spans):
        assert following - ended >= min(REST_FACTOR * (ended - begun), REST_S_MAX)
