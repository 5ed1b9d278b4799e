"""The control socket: who may speak, in which words, and that nobody can make the farm wait. The server steps by a clock of the test."""

from __future__ import annotations

import json
import os
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farm import control as client_side
from farm.cli.main import main
from farm.control import LEFT, REQUEST_BYTES_MAX, SOCKET_NAME, Connection, Gone, Silent, connect, reachable, running
from farm.errors import FarmError
from farm.home import StateDir
from farm.supervisor.control import control as server_side
from farm.supervisor.control.control import CLIENTS_MAX, IDLE_S, TALK_S, Control

NOBODY = 65534


class Server:
    """A control socket that is stepped by hand; what it performs is noted, and answered with `answer`."""

    def __init__(self, directory: Path) -> None:
        self.now = 0.0
        self.asked: list[dict[str, Any]] = []
        self.answer: dict[str, Any] = {"ok": True, "said": ["done"]}
        self.control = Control(directory, clock=lambda: self.now)
        self.control.serve(self._perform)
        self.directory = directory
        self.wait_s = 0.0

    def _perform(self, request: dict[str, Any], by: str) -> dict[str, Any]:
        assert by
        self.asked.append(request)
        return self.answer

    def turn(self, seconds: float = 1.0, turns: int = 3) -> None:
        """Hear and step some times, in so many seconds."""
        for _ in range(turns):
            self.now += seconds / turns
            self.control.hear()
            self.wait_s = self.control.step(self.now)

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(5.0)
        with reachable(self.directory) as address:
            connection.connect(address)
        return connection

    @contextmanager
    def in_thread(self) -> Iterator[None]:
        """Serve for as long as this lasts."""
        ended = threading.Event()

        def serve() -> None:
            while not ended.wait(0.001):
                self.turn(0.01)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    yield made
    made.control.close()


def is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1 << 16) == b""
    except ConnectionResetError:
        return True


def test_a_question_is_answered_and_then_the_next_one(server: Server) -> None:
    with server.connect() as connection:
        for number in range(3):
            connection.sendall(b'{"do": "status", "n": %d}\n' % number)
            server.turn()
            assert json.loads(connection.recv(1000)) == server.answer
    assert [request["n"] for request in server.asked] == [0, 1, 2]
    server.turn()
    assert server.wait_s == float("inf"), "with nobody there it costs nothing"


def test_only_who_runs_the_farm_may_connect_from_the_first_moment_on(server: Server) -> None:
    found = (server.directory / SOCKET_NAME).stat()
    assert stat.S_ISSOCK(found.st_mode)
    assert stat.S_IMODE(found.st_mode) == 0o600
    assert found.st_uid == os.geteuid()


def test_what_a_farm_that_was_killed_has_left_is_replaced(tmp_path: Path) -> None:
    left = Server(tmp_path)
    second = Server(tmp_path)
    with second.connect() as connection:
        connection.sendall(b'{"do": "status"}\n')
        second.turn()
        assert second.asked
        assert not left.asked
    second.control.close()
    assert not (tmp_path / SOCKET_NAME).exists()
    left.control.close()


@pytest.mark.parametrize(
    "line", [b"", b"{", b"[]", b"null", b"1", b"\xff\xfe", b'{"do": 1}', b'{"did": "status"}', b"[" * 10_000, b'"\\ud800"']
)
def test_nonsense_is_answered_in_words(server: Server, line: bytes) -> None:
    with server.connect() as connection:
        connection.sendall(line + b"\n")
        server.turn()
        assert json.loads(connection.recv(1000))["error"].startswith("expected ")
    assert not server.asked


@settings(max_examples=60, deadline=None)
@given(pieces=st.lists(st.binary(min_size=1, max_size=200), max_size=12))
def test_whatever_is_sent_in_whatever_pieces_the_next_client_is_served(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]
) -> None:
    server = Server(tmp_path_factory.mktemp("hostile"))
    try:
        with server.connect() as hostile, server.connect() as other:
            for piece in pieces:
                try:
                    hostile.sendall(piece)
                except OSError:
                    break  # It was shown the door.
                server.turn(0.1)
            other.sendall(b'{"do": "status", "mine": 1}\n')
            server.turn()
            assert json.loads(other.recv(1000)) == server.answer
    finally:
        server.control.close()


def test_a_request_that_never_ends_and_two_at_once_are_refused(server: Server) -> None:
    with server.connect() as endless, server.connect() as hasty:
        endless.setblocking(False)
        sent = 0
        while sent <= REQUEST_BYTES_MAX:
            sent += endless.send(b" " * 4096)
            server.turn(0.01)
        endless.setblocking(True)
        assert "at most" in json.loads(endless.recv(1000))["error"]
        assert is_closed(endless)
        hasty.sendall(b'{"do": "status"}\n{"do": "status"}\n')
        server.turn()
        assert "one request at a time" in json.loads(hasty.recv(1000))["error"]
        assert is_closed(hasty)
    assert not server.asked


def test_silent_and_slow_clients_are_shown_the_door(server: Server) -> None:
    """Who says nothing, stops in the middle, does not read, or stays for no reason."""
    with server.connect() as mute, server.connect() as halting, server.connect() as deaf, server.connect() as idle:
        halting.sendall(b'{"do":')
        idle.sendall(b'{"do": "status"}\n')
        server.turn(1.0)
        assert idle.recv(1000)
        server.answer = {"ok": True, "said": ["x" * 900_000]}
        deaf.sendall(b'{"do": "status"}\n')
        server.turn(1.0)
        assert 0 < server.wait_s <= TALK_S, "it looks again when the first one's time is up"
        server.turn(TALK_S)
        server.turn(1.0)
        assert is_closed(mute)
        assert is_closed(halting)
        received = 0
        while piece := deaf.recv(1 << 16):
            received += len(piece)
        assert received < 900_000
        idle.setblocking(False)
        with pytest.raises(BlockingIOError):
            idle.recv(1)
        server.turn(IDLE_S)
        assert is_closed(idle)
    server.turn()
    assert server.wait_s == float("inf")


def test_a_large_answer_reaches_whoever_reads_it(server: Server) -> None:
    server.answer = {"ok": True, "said": ["x" * 900_000]}
    with server.connect() as connection:
        connection.sendall(b'{"do": "status"}\n')
        received = b""
        while not received.endswith(b"\n"):
            server.turn(0.1)
            received += connection.recv(1 << 16)
        assert json.loads(received) == server.answer
        server.answer = {"ok": True, "said": ["x" * 2_000_000]}
        connection.sendall(b'{"do": "status"}\n')
        server.turn()
        assert json.loads(connection.recv(1000)) == {"error": "the answer is too large"}
        server.answer = {"ok": True, "config": "a\udcff.yaml"}
        connection.sendall(b'{"do": "status"}\n')
        server.turn()
        assert "no UTF-8" in json.loads(connection.recv(1000))["error"]


def test_many_clients_take_turns_and_the_one_that_was_silent_for_longest_goes(server: Server) -> None:
    crowd = []
    for _ in range(CLIENTS_MAX):
        crowd.append(server.connect())
        server.turn(0.01)
    for connection in crowd:
        connection.sendall(b'{"do": "status"}\n')
    server.turn(0.0, turns=5)
    assert len(server.asked) == 1, "however many ask: a share of the time is theirs"
    server.turn(5.0, turns=50)
    assert len(server.asked) == CLIENTS_MAX
    newcomer = server.connect()
    newcomer.sendall(b'{"do": "status", "new": true}\n')
    server.turn()
    assert json.loads(newcomer.recv(1000)) == server.answer
    assert crowd[0].recv(1000)
    assert is_closed(crowd[0])
    for connection in (*crowd, newcomer):
        connection.close()


def test_what_somebody_asked_for_who_is_gone_is_left_undone(server: Server) -> None:
    first, gone = server.connect(), server.connect()
    server.turn()
    server.answer["slow"] = True
    first.sendall(b'{"do": "status"}\n')
    gone.sendall(b'{"do": "drain"}\n')
    server.control.hear()
    gone.close()
    server.turn(5.0, turns=20)
    assert [request["do"] for request in server.asked] == ["status"]
    first.close()


def test_without_descriptors_it_rests_and_then_goes_on(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    class Exhausted:
        """A listener of a process that has no descriptor left."""

        def __init__(self, listener: socket.socket) -> None:
            self._listener = listener

        def fileno(self) -> int:
            return self._listener.fileno()

        def accept(self) -> tuple[socket.socket, object]:
            raise OSError(24, "Too many open files")

    listener = server.control._listener
    monkeypatch.setattr(server.control, "_listener", Exhausted(listener))
    with server.connect() as connection:
        connection.sendall(b'{"do": "status"}\n')
        server.turn(0.5)
        assert 0 < server.wait_s <= server_side.DEAF_S
        monkeypatch.setattr(server.control, "_listener", listener)
        server.turn(5.0, turns=10)
        assert json.loads(connection.recv(1000)) == server.answer


def test_root_and_its_own_user_are_served_and_nobody_else(farm_home: Path) -> None:
    """Its directory and its mode keep others out already; should somebody have opened them, the socket itself asks who is there."""
    if os.geteuid() != 0:
        pytest.skip("only root can be somebody else")
    # Everybody may come as far as to the socket.
    server = Server(farm_home)

    def ask_as_nobody() -> tuple[str, str]:
        """Return what connecting came to, and what was heard."""
        read_end, write_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.setgid(NOBODY)
                os.setuid(NOBODY)
                with socket.socket(socket.AF_UNIX) as connection:
                    connection.settimeout(5.0)
                    with reachable(farm_home) as address:
                        connection.connect(address)
                    os.write(write_end, b"connected|" + connection.recv(1000))
            except OSError as error:
                os.write(write_end, f"{type(error).__name__}|".encode())
            finally:
                os._exit(0)
        os.close(write_end)
        while os.waitpid(pid, os.WNOHANG) == (0, 0):
            server.turn(0.01)
        with open(read_end, "rb") as file:
            how, _, heard = file.read().decode().partition("|")
        return how, heard

    try:
        assert ask_as_nobody() == ("PermissionError", "")
        (farm_home / SOCKET_NAME).chmod(0o777)
        how, heard = ask_as_nobody()
        assert how == "connected"
        assert "may not speak to this farm" in json.loads(heard)["error"]
        assert not server.asked
    finally:
        server.control.close()


def test_a_directory_with_a_name_longer_than_any_address_will_do(tmp_path: Path) -> None:
    directory = tmp_path / ("d" * 120) / ("e" * 120)
    directory.mkdir(parents=True)
    before = set(os.listdir("/proc/self/fd"))
    server = Server(directory)
    with server.connect() as connection:
        connection.sendall(b'{"do": "status"}\n')
        server.turn()
        assert json.loads(connection.recv(1000)) == server.answer
    server.control.close()
    assert list(directory.iterdir()) == []
    assert set(os.listdir("/proc/self/fd")) == before, "no descriptor stays open"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


MakeServer = Callable[[str], Server]


def test_a_farm_that_leaves_before_it_is_asked_to_drain_has_left(
    make_server: MakeServer, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = make_server("alpha")
    monkeypatch.setenv("FARM_HOME", str(home))
    # The farm's process is this one.
    monkeypatch.setattr(Connection, "wait_gone", lambda self, wait_s: True)

    def ask(self: Connection, do: str, **arguments: Any) -> dict[str, Any]:
        server.turn()
        server.control.close(0)
        return asked(self, do, **arguments)

    asked = Connection.ask
    monkeypatch.setattr(Connection, "ask", ask)
    assert main(["drain"]) == 0
    assert capsys.readouterr().out == "left\n"


@pytest.fixture
def make_server(home: Path) -> Iterator[MakeServer]:
    made: list[Server] = []

    def make(instance: str) -> Server:
        made.append(Server(StateDir.create(home, instance).path))
        return made[-1]

    yield make
    for server in made:
        server.control.close()


def test_the_farm_that_is_meant_is_found(home: Path, make_server: MakeServer) -> None:
    with pytest.raises(FarmError, match=f"no farm runs in {home}"):
        connect(home)
    StateDir.create(home, "asleep")
    first = make_server("alpha")
    with connect(home) as found, connect(home, "alpha") as named:
        assert found.instance == named.instance == "alpha"
    make_server("beta")
    with pytest.raises(FarmError, match=r"2 farms run in .*: alpha, beta; say which with --instance"):
        connect(home)
    with connect(home, "beta") as found:
        assert found.instance == "beta"
    with pytest.raises(FarmError, match=r"there has never been a farm 'alhpa' in .*; did you mean 'alpha'"):
        connect(home, "alhpa")
    with pytest.raises(FarmError, match="no farm runs as 'asleep'"):
        connect(home, "asleep")
    with pytest.raises(FarmError, match="bad instance name"):
        connect(home, "../alpha")
    first.control.close()
    found_now = running(home)
    assert [connection.instance for connection in found_now] == ["beta"]
    for connection in found_now:
        connection.close()


def test_asking(home: Path, make_server: MakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer, a refusal, a farm that is stuck, and one that leaves in the middle."""
    server = make_server("alpha")
    with connect(home) as farm:
        with server.in_thread():
            assert farm.ask("pause", lanes=["fast"]) == server.answer
            server.answer = {"error": "there is no lane 'fst'"}
            with pytest.raises(FarmError, match="there is no lane 'fst'"):
                farm.ask("pause", lanes=["fst"])
        assert server.asked == [{"do": "pause", "lanes": ["fast"]}, {"do": "pause", "lanes": ["fst"]}]
        with pytest.raises(Silent, match=r"has not answered within 0\.05 s"):
            farm.ask("status", wait_s=0.05)
        with pytest.raises(FarmError, match="at most"):
            farm.ask("pause", lanes=["x" * REQUEST_BYTES_MAX])
        with pytest.raises(FarmError, match="expected names in UTF-8"):
            farm.ask("pause", lanes=["\udcff"])
        assert not farm.wait_gone(0.0), "it is this process"
    with connect(home) as farm, connect(home) as other:
        server.turn()
        server.control.close(3)
        for connection in (farm, other):
            with pytest.raises(Gone, match="left with exit code 3") as gone:
                connection.ask("status")
            assert gone.value.code == 3
    server = make_server("alpha")
    with connect(home) as farm:
        server.control.close()
        with pytest.raises(Gone, match="gone without a word") as gone:
            farm.ask("status")
        assert gone.value.code is None
    monkeypatch.setattr(client_side, "ANSWER_BYTES_MAX", 1000)
    server = make_server("alpha")
    server.answer = {"ok": True, "said": ["x" * 100_000]}
    with server.in_thread(), connect(home) as farm, pytest.raises(FarmError, match="without an end"):
        farm.ask("status")
    assert isinstance(farm, Connection)
    assert LEFT not in server.answer
