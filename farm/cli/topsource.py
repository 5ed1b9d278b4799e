"""Where `farm top` has its figures from: the farm on this machine, or the database; and which database its keys act on."""

from __future__ import annotations

import argparse
import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from farm import linux
from farm.errors import ConfigError, FarmError

if TYPE_CHECKING:
    from farm.config.model import Database
    from farm.screen.model import Source
    from farm.store.session import Session

SECRET_BYTES_MAX = 64 << 10
EMBEDDED = "embedded PostgreSQL"
"""How the name of the embedded database begins."""

Secret = Mapping[str, Any]
"""`dsn` and `pooled`, of the database of a farm that has started this screen."""


def open_source(
    *,
    config: str | None = None,
    dsn: str | None = None,
    instance: str | None = None,
    everywhere: bool = False,
    secret_fd: int | None = None,
) -> Source:
    """Return what a screen looks at. Connects to no database yet. Raises FarmError.

    config, dsn, everywhere: all hosts, by a database. Else the farm that runs here, as `instance` or the only one; and if none does, all
    hosts. secret_fd: a pipe with the DSN of its database, from the farm that has started this screen.
    """
    from farm import __version__
    from farm.home import farm_home

    if instance is not None and (everywhere or dsn is not None or config is not None):
        raise FarmError("expected either --instance, a farm on this machine, or all hosts, by a database")
    if not everywhere and dsn is None and config is None:
        from farm.control import connect, running
        from farm.screen.source import LiveSource

        home = farm_home()
        found = running(home) if instance is None else []
        for connection in found:
            connection.close()
        if instance is not None or found:
            if secret_fd is None:
                # Says which there are if that is not clear, or what is wrong with the name.
                connect(home, instance).close()
            secret = None if secret_fd is None else _read_secret(secret_fd)
            return LiveSource(home, instance, open_session=lambda told: _session_of(told, secret), version=__version__)
    from farm.cli.opening import chosen_database
    from farm.dsn import describe_dsn
    from farm.screen.hosts import HostsSource

    database = chosen_database(argparse.Namespace(dsn=dsn, config=config))
    name = EMBEDDED if database.dsn is None else describe_dsn(database.dsn)
    return HostsSource(_opener(lambda: database), database=name, version=__version__)


def _session_of(told: Mapping[str, Any], secret: Secret | None) -> AbstractContextManager[Session]:
    """Connect to the database that a farm works on, which it names without its password."""
    return _opener(lambda: _database_of(told, secret))()


def _opener(choose: Callable[[], Database]) -> Callable[[], AbstractContextManager[Session]]:
    @contextmanager
    def opened() -> Iterator[Session]:
        from farm.cli.opening import open_chosen, open_session

        with open_chosen(choose()) as database, open_session(database) as session:
            yield session

    return opened


def _database_of(told: Mapping[str, Any], secret: Secret | None) -> Database:
    from farm.config.model import Database
    from farm.dsn import describe_dsn

    if secret is not None:
        return Database(kind="dsn", dsn=secret["dsn"], pooled=secret["pooled"])
    name = str(told.get("database", ""))
    for database in _candidates(told):
        if name.startswith(EMBEDDED) if database.dsn is None else describe_dsn(database.dsn) == name:
            return database
    raise FarmError(f"the farm works on {name}, whose password nothing here tells: set FARM_DSN to it, or leave and use --dsn")


def _candidates(told: Mapping[str, Any]) -> Iterator[Database]:
    """Go through the databases that may be the farm's: of its configuration, of the environment, the embedded one."""
    from farm.config import load
    from farm.config.database import choose_database

    path = told.get("config")
    if isinstance(path, str) and path:
        try:
            yield load(path, to_run=False).database
        except (ConfigError, OSError):
            pass  # It has changed since, or is another one seen from here.
    yield choose_database(None, None, os.environ)
    yield choose_database("embedded", None, {})


def _read_secret(fd: int) -> Secret | None:
    """Read what the farm says through the pipe that it made for us, and end with it from now on: the terminal is its, too.

    Nothing: its database is the embedded one. At the end of the pipe the terminal is ours.
    """
    linux.signal_at_parent_death(signal.SIGTERM)
    with os.fdopen(fd, "rb") as file:
        said = file.read(SECRET_BYTES_MAX)
    return json.loads(said) if said else None
