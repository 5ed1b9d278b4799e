"""Opening the embedded server: made once, shared, kept while used, stopped when the last user is gone."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import psycopg
import pytest

from farm.embedded import open_server
from tests.embedded.using import (
    answers,
    is_stopped,
    keeper_pid,
    kill_keeper,
    only_cluster,
    postmaster_pid,
    runs_anew,
    start_user,
    wait_for,
    wait_for_stop,
)

pytestmark = pytest.mark.timeout(120)


def test_the_first_one_makes_it_and_the_last_one_out_has_it_stopped(farm_home: Path) -> None:
    said: list[str] = []
    with open_server(farm_home, log=said.append) as server:
        with psycopg.connect(server.dsn) as connection:
            assert connection.info.dbname == "farm"
            assert server.version == f"{connection.info.server_version // 10000}.{connection.info.server_version % 10000}"
        assert len(said) == 1
        assert str(server.path) in said[0]
        with open_server(farm_home, log=said.append) as other:
            # The second one makes nothing and starts nothing.
            assert other.dsn == server.dsn
            assert len(said) == 1
        assert answers(server.dsn)
    wait_for(lambda: is_stopped(farm_home), "the stop after the last user")
    assert "database system is shut down" in (server.path / "server.log").read_text()


def test_it_goes_on_with_its_data_after_a_stop(made_home: Path) -> None:
    with open_server(made_home) as server, psycopg.connect(server.dsn) as connection:
        connection.execute("CREATE TABLE kept (id int)")
    wait_for_stop(made_home)
    with open_server(made_home) as server, psycopg.connect(server.dsn) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_whoever_leaves_for_good_waits_for_its_end_unless_others_use_it(made_home: Path) -> None:
    server = open_server(made_home)
    with open_server(made_home) as other:
        server.close_for_good()
        assert answers(other.dsn)
    other.close_for_good()
    assert is_stopped(made_home)
    other.close_for_good()
    assert "database system is shut down" in (server.path / "server.log").read_text()


def test_whoever_leaves_for_good_waits_for_others_that_are_about_to_go(made_home: Path) -> None:
    """A command that somebody has just given would else keep the server until it is killed."""
    server, other = open_server(made_home), open_server(made_home)
    leaving = threading.Thread(target=server.close_for_good)
    leaving.start()
    wait_for(lambda: server._users.fd == -1, "that it has let go")
    other.close()
    leaving.join()
    assert is_stopped(made_home)


def test_a_farm_under_a_service_manager_leaves_no_server_that_would_be_killed(made_home: Path, tmp_path: Path) -> None:
    config = tmp_path / "farm.yaml"
    config.write_text("database: embedded\nrunners: {python: {allow: ['farm.demo:*']}}\nlanes: {default: {queues: ['*'], subworkers: 1}}\n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        command = [sys.executable, "-m", "farm.cli.main", "start", str(config), "--burst"]
        environ = {**os.environ, "FARM_HOME": str(made_home), "NOTIFY_SOCKET": manager.getsockname()}
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, env=environ)
    assert (done.returncode, is_stopped(made_home)) == (0, True), done.stderr


def test_a_user_who_comes_just_after_the_last_one_left_finds_it_running(made_home: Path) -> None:
    open_server(made_home).close()
    first = postmaster_pid(made_home)
    with open_server(made_home):
        assert postmaster_pid(made_home) == first


def test_closing_twice_is_closing_once(made_home: Path) -> None:
    server = open_server(made_home)
    server.close()
    server.close()


def test_eight_at_once_on_a_fresh_home_all_get_it_and_one_makes_it(farm_home: Path) -> None:
    users = [start_user(farm_home) for _ in range(8)]
    ends = [user.communicate() for user in users]
    assert [user.returncode for user in users] == [0] * 8, ends
    lines = [line for out, _ in ends for line in out.splitlines()]
    assert len([line for line in lines if line.startswith("making")]) == 1
    assert len([line for line in lines if line.startswith("host=")]) == 8
    assert len({line for line in lines if line.startswith("host=")}) == 1


def test_a_killed_user_counts_as_gone(made_home: Path) -> None:
    user = start_user(made_home)
    assert user.stdout is not None
    wait_for(lambda: "host=" in user.stdout.readline(), "the user's DSN")  # type: ignore[union-attr]
    user.kill()
    user.communicate()
    wait_for_stop(made_home)


def test_a_killed_server_comes_back_while_somebody_uses_it(made_home: Path) -> None:
    with open_server(made_home) as server:
        keeper, first = keeper_pid(made_home), postmaster_pid(made_home)
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: runs_anew(made_home, server.dsn, first), "the new server")
        assert keeper_pid(made_home) == keeper


def test_a_server_left_over_from_a_killed_keeper_is_adopted(made_home: Path) -> None:
    with open_server(made_home) as server:
        keeper, first = keeper_pid(made_home), postmaster_pid(made_home)
        kill_keeper(made_home)
        with open_server(made_home):
            assert postmaster_pid(made_home) == first
            assert keeper_pid(made_home) != keeper
        assert answers(server.dsn)
    wait_for_stop(made_home)


def test_after_keeper_and_server_were_killed_the_next_one_starts_it_on_the_same_data(made_home: Path) -> None:
    with open_server(made_home) as server:
        with psycopg.connect(server.dsn) as connection:
            connection.execute("CREATE TABLE kept (id int)")
        kill_keeper(made_home)
        os.kill(postmaster_pid(made_home), signal.SIGKILL)
    with open_server(made_home) as server, psycopg.connect(server.dsn) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_a_killed_first_start_leaves_no_half_of_a_database(farm_home: Path) -> None:
    user = start_user(farm_home, start_new_session=True)
    assert user.stdout is not None
    assert user.stdout.readline().startswith("making")
    wait_for(lambda: any(farm_home.glob("pg*/data.new-*/base")), "initdb at work")
    user.kill()
    user.communicate()
    with open_server(farm_home) as server:
        assert answers(server.dsn)
    wait_for_stop(farm_home)
    # The killed user's initdb may have gone on for nobody; once it has ended, the next start removes what it made.
    wait_for(lambda: not any("initdb" in each.info["name"] for each in psutil.process_iter(["name"])), "the end of initdb")
    with open_server(farm_home) as server:
        assert not list(server.path.glob("data.new-*"))


def test_one_who_waits_in_vain_can_have_it_revived(made_home: Path) -> None:
    with open_server(made_home) as server:
        kill_keeper(made_home)
        os.kill(postmaster_pid(made_home), signal.SIGKILL)
        server.revive()
        assert answers(server.dsn)


def test_a_pid_file_whose_number_is_now_anothers_does_not_stop_the_start(made_home: Path) -> None:
    with open_server(made_home):
        text = (only_cluster(made_home).data / "postmaster.pid").read_text().splitlines()
    wait_for_stop(made_home)
    # As after a power failure: the number of the server that was is now that of some other process, here this one.
    cluster = only_cluster(made_home)
    (cluster.data / "postmaster.pid").write_text("\n".join([str(os.getpid()), *text[1:]]) + "\n")
    with open_server(made_home) as server:
        assert answers(server.dsn)


def test_the_keeper_holds_nothing_of_whoever_started_it(made_home: Path) -> None:
    readable, writable = os.pipe()
    os.set_inheritable(writable, True)
    try:
        with open_server(made_home):
            os.close(writable)
            # The end is seen only when nobody else holds the other side.
            assert os.read(readable, 1) == b""
    finally:
        os.close(readable)


def test_blocked_signals_and_variables_of_the_user_do_not_reach_the_server(made_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGDATA", "/nonexistent")
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM, signal.SIGCHLD])
    try:
        with open_server(made_home) as server:
            assert answers(server.dsn)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    wait_for_stop(made_home)


@pytest.mark.parametrize("name", ["a" * 60 + "/" + "b" * 60, "with, comma", "with 'quote and space"])
def test_any_path_will_do(farm_home: Path, name: str) -> None:
    home = farm_home / name
    with open_server(home) as server:
        assert answers(server.dsn)
        socket_dir = only_cluster(home).socket_dir
        assert socket_dir.stat().st_mode & 0o777 == 0o700
    wait_for_stop(home)
    if not socket_dir.is_relative_to(home):
        wait_for(lambda: not socket_dir.exists(), "the end of the directory under /tmp")
