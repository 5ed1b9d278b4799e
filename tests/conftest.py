"""Fixtures of all tests: PostgreSQL servers and databases, a FARM_HOME, and a look at what each test leaves behind."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from farm.errors import EmbeddedError
from tests.leaks import children_left, home_left, postgres_segments, remove_orphaned_segments
from tests.servers import Server, Servers, majors_under_test

MAJORS = pytest.StashKey[list[int]]()
SERVERS = pytest.StashKey[Servers]()


def pytest_configure(config: pytest.Config) -> None:
    try:
        config.stash[MAJORS] = majors_under_test()
    except (LookupError, EmbeddedError) as error:
        raise pytest.UsageError(str(error)) from error


def pytest_report_header(config: pytest.Config) -> str:
    majors = config.stash[MAJORS]
    return f"PostgreSQL: {majors[0]}; the tests of the store on {', '.join(map(str, majors))}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that needs a server on the first PostgreSQL, those of the store on all of them."""
    if "server" not in metafunc.fixturenames:
        return
    majors = metafunc.config.stash[MAJORS]
    of_the_store = "store" in metafunc.definition.path.parts or metafunc.definition.get_closest_marker("store")
    chosen = majors if of_the_store else majors[:1]
    metafunc.parametrize("server", chosen, indirect=True, ids=[f"pg{major}" for major in chosen])


@pytest.fixture(scope="session", autouse=True)
def no_segment_left() -> Iterator[None]:
    """What killed servers have left in shared memory goes at the end."""
    known = postgres_segments()
    yield
    remove_orphaned_segments(known)


@pytest.fixture(scope="session")
def servers(request: pytest.FixtureRequest) -> Iterator[Servers]:
    running = request.session.stash[SERVERS] = Servers()
    yield running
    running.close()


@pytest.fixture
def server(request: pytest.FixtureRequest, servers: Servers) -> Iterator[Server]:
    """A running PostgreSQL, shared with other tests; this one may stop(mode), start() and restart(mode) it."""
    running = servers.get(request.param)
    running.start()
    yield running
    running.start()


@pytest.fixture
def dsn(server: Server) -> Iterator[str]:
    """The DSN of a fresh database with farm's schema, for this test alone."""
    with server.database() as name:
        yield name


@pytest.fixture
def empty_dsn(server: Server) -> Iterator[str]:
    """The DSN of a fresh database without farm's schema, for this test alone."""
    with server.database(migrated=False) as name:
        yield name


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test may reach the farm of whoever runs it."""
    monkeypatch.delenv("FARM_DSN", raising=False)
    # A directory that not even root can make: a test that uses a FARM_HOME without the fixture below fails.
    monkeypatch.setenv("FARM_HOME", "/dev/null/farm-home-of-no-test")


@pytest.fixture
def farm_home(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A FARM_HOME for this test alone. At the end nothing may run on it any more, and no rings may be left in shared memory."""
    home = Path(tempfile.mkdtemp(prefix="farm-home-", dir="/tmp"))
    home.chmod(0o755)
    monkeypatch.setenv("FARM_HOME", str(home))
    yield home
    left = home_left(home, rings_may_stay=request.node.get_closest_marker("leaves_rings") is not None)
    shutil.rmtree(home)
    assert not left, f"left behind: {left}"


@pytest.fixture(autouse=True)
def no_child_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every child process that a test starts must have ended, and been waited for, at its end."""
    yield
    servers = request.session.stash.get(SERVERS, None)
    left = children_left(servers.pids if servers else set())
    assert not left, f"child processes left behind: {left}"
