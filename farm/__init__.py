"""farm: very many small jobs on your own machines, with nothing but PostgreSQL.

    import farm

    with farm.connect() as client:
        client.enqueue("app.mail:send", {"to": "ada@example.org"})

Importing farm is cheap: subworkers do it, and must not load what only clients need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from farm.errors import (
    ConfigError,
    FarmError,
    InvalidJob,
    JobCancelled,
    JobFailed,
    NoSuchJob,
    SchemaMismatch,
    StoreError,
    StoreUnavailable,
    WaitTimeout,
)
from farm.headway import Progress, progress
from farm.wishes import Cancel, Retry, Snooze

if TYPE_CHECKING:
    from farm.aclient import AsyncClient, aconnect
    from farm.client import Client, connect
    from farm.store.newjobs import NewJob
    from farm.tasks import Task, task

__version__ = "0.1.0"

__all__ = [
    "AsyncClient",
    "Cancel",
    "Client",
    "ConfigError",
    "FarmError",
    "InvalidJob",
    "JobCancelled",
    "JobFailed",
    "NewJob",
    "NoSuchJob",
    "Progress",
    "Retry",
    "SchemaMismatch",
    "Snooze",
    "StoreError",
    "StoreUnavailable",
    "Task",
    "WaitTimeout",
    "__version__",
    "aconnect",
    "connect",
    "progress",
    "task",
]

_LATER = {
    "AsyncClient": "farm.aclient",
    "Client": "farm.client",
    "NewJob": "farm.store.newjobs",
    "Task": "farm.tasks",
    "aconnect": "farm.aclient",
    "connect": "farm.client",
    "task": "farm.tasks",
}


def __getattr__(name: str) -> Any:
    """Load what needs psycopg when it is asked for."""
    if name not in _LATER:
        raise AttributeError(f"module 'farm' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LATER[name]), name)
