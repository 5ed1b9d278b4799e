"""Functions that can be enqueued.

    @farm.task(queue="images", timeout="30s", memory="1GB")
    def resize(path: str, width: int = 100) -> None: ...

    resize("a.png")                               # calls it, here and now
    resize.enqueue("a.png", width=200)            # files a job
    resize.using(priority=0, delay="5m").enqueue("a.png")

Modules of jobs import this in every subworker: whatever only an enqueue needs is imported when one is made.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from farm.errors import InvalidJob
from farm.units import parse_duration, parse_expires

if TYPE_CHECKING:
    from datetime import datetime
    from inspect import Signature

    import psycopg

    from farm.client import Client
    from farm.store.newjobs import NewJob

_WAYS = (frozenset({"delay_s", "run_at"}), frozenset({"expires_s", "expires_at"}))
"""Options that say the same in two ways."""

P = ParamSpec("P")
R = TypeVar("R")


class Task(Generic[P, R]):
    """A function with the options of its jobs. It is still that function: calling it calls it. Made by `farm.task`."""

    __name__: str
    __qualname__: str

    def __init__(
        self,
        function: Callable[P, R],
        options: dict[str, Any],
        *,
        client: Client | None = None,
        connection: psycopg.Connection[Any] | None = None,
    ) -> None:
        self._options = options
        self._client = client
        self._connection = connection
        self._signature: Signature | None = None
        update_wrapper(self, function)
        self.__farm_function__ = function
        """What a runner calls when it finds a task where it looks for a function."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function, here and now."""
        return self.__farm_function__(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<farm task {self.__module__}:{self.__qualname__}>"

    @property
    def name(self) -> str:
        """`module:function`, as jobs name it. Raises InvalidJob for a function of the program itself."""
        if self.__module__ == "__main__":
            raise InvalidJob(
                f"{self.__qualname__}: expected a function of a module that subworkers can import, got one of the program itself "
                "(__main__): move it into a module and import it from there"
            )
        return f"{self.__module__}:{self.__qualname__}"

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> int:
        """File a job that calls the function with these arguments, JSON values only, and return its id.

        By the client that `using` named, else by the process's own: that of FARM_DSN, else of the embedded database. Raises
        InvalidJob, also for arguments that the function does not take, and StoreError.
        """
        job = self.job(*args, **kwargs)  # First: what is wrong with it needs no database, least of all one started for it.
        client = self._client or default_client()
        return client.enqueue(**job, connection=self._connection)

    def job(self, *args: P.args, **kwargs: P.kwargs) -> NewJob:
        """Return that job without filing it, for `client.enqueue_many(resize.job(path) for path in paths)`. Raises InvalidJob."""
        return {"task": self.name, "args": self._arguments(args, kwargs), **self._options}  # type: ignore[typeddict-item]

    def using(
        self,
        *,
        queue: str | None = None,
        runner: str | None = None,
        priority: int | None = None,
        delay: str | float | None = None,
        run_at: datetime | None = None,
        max_attempts: int | None = None,
        timeout: str | float | None = None,
        memory: str | int | None = None,
        retry: str | float | None = None,
        expires: str | float | datetime | None = None,
        traceparent: str | None = None,
        client: Client | None = None,
        connection: psycopg.Connection[Any] | None = None,
    ) -> Task[P, R]:
        """Return the same task with other options; what is not given stays as it is.

        Durations are like `250ms`, `5m`, or seconds; expires may also be a time. traceparent is as in Client.enqueue. client files the
        jobs; with connection, in the transaction that is open there. Raises InvalidJob.
        """
        given = _options(
            queue, runner, priority, max_attempts, timeout, memory, retry, expires, delay=delay, run_at=run_at, traceparent=traceparent
        )
        kept = dict(self._options)
        for ways in _WAYS:
            # A later word about when replaces an earlier one, in whichever way it was said.
            if not ways.isdisjoint(given):
                kept = {key: value for key, value in kept.items() if key not in ways}
        options = _checked(self.__qualname__, {**kept, **given})
        return Task(self.__farm_function__, options, client=client or self._client, connection=connection or self._connection)

    def _arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any] | dict[str, Any]:
        """Return arguments as a job has them: all by position or all by name."""
        if self._signature is None:
            from inspect import signature

            self._signature = signature(self.__farm_function__)
        try:
            self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise InvalidJob(f"{self.name}: {error}") from None
        if not kwargs:
            return list(args)
        parameters = list(self._signature.parameters.values())[: len(args)]
        if len(parameters) < len(args) or any(one.kind is not one.POSITIONAL_OR_KEYWORD for one in parameters):
            raise InvalidJob(f"{self.name}: expected arguments by position or by name, got both, and the first ones have no names")
        return {**dict(zip((one.name for one in parameters), args, strict=True)), **kwargs}


@overload
def task(function: Callable[P, R], /) -> Task[P, R]: ...


@overload
def task(
    *,
    queue: str | None = None,
    runner: str | None = None,
    priority: int | None = None,
    max_attempts: int | None = None,
    timeout: str | float | None = None,
    memory: str | int | None = None,
    retry: str | float | None = None,
    expires: str | float | datetime | None = None,
) -> Callable[[Callable[P, R]], Task[P, R]]: ...


def task(
    function: Callable[..., Any] | None = None,
    /,
    *,
    queue: str | None = None,
    runner: str | None = None,
    priority: int | None = None,
    max_attempts: int | None = None,
    timeout: str | float | None = None,
    memory: str | int | None = None,
    retry: str | float | None = None,
    expires: str | float | datetime | None = None,
) -> Any:
    """Make a function of a module a task: `@farm.task`, or `@farm.task(queue="images", timeout="30s", memory="1GB")`.

    The options are those of Client.enqueue; durations are like `250ms`, `5m`, or seconds. Raises InvalidJob for an option that no
    job can have, and for a function that subworkers cannot find by its name.
    """
    given = _options(queue, runner, priority, max_attempts, timeout, memory, retry, expires)

    def decorate(function: Callable[..., Any]) -> Task[..., Any]:
        function = getattr(function, "__farm_function__", function)
        return Task(function, _checked(_plain_name(function), given))

    return decorate if function is None else decorate(function)


def default_client() -> Client:
    """Return the client of this process, made when it is first asked for. Raises FarmError."""
    global _client
    with _lock:
        if _client is None:
            from farm.client import connect

            _client = connect()
        return _client


_client: Client | None = None
"""Module state, on purpose: a decorated function has nowhere else to find a client that is shared by all of them."""
_lock = threading.Lock()
_inherited: list[Client | None] = []
"""Clients of parent processes: to close their connections here would break them there."""


def _forget_client() -> None:
    global _client, _lock
    _inherited.append(_client)
    _client, _lock = None, threading.Lock()


def _close_client() -> None:
    if _client is not None:
        _client.close()


os.register_at_fork(after_in_child=_forget_client)
atexit.register(_close_client)


def _plain_name(function: Callable[..., Any]) -> str:
    """Return the name of a function that stands at the top level of a module. Raises InvalidJob for any other."""
    name = getattr(function, "__qualname__", None)
    if not isinstance(name, str) or not name.isidentifier():
        got = "a lambda" if str(name).endswith("<lambda>") else name or type(function).__name__
        raise InvalidJob(f"farm.task: expected a function at the top level of a module, where subworkers can import it, got {got}")
    return name


def _options(
    queue: str | None,
    runner: str | None,
    priority: int | None,
    max_attempts: int | None,
    timeout: str | float | None,
    memory: str | int | None,
    retry: str | float | None,
    expires: str | float | datetime | None,
    *,
    delay: str | float | None = None,
    run_at: datetime | None = None,
    traceparent: str | None = None,
) -> dict[str, Any]:
    """Return the options that were given, as the client takes them. Raises InvalidJob."""
    options = {
        "queue": queue,
        "runner": runner,
        "priority": priority,
        "delay_s": _seconds("delay", delay),
        "run_at": run_at,
        "max_attempts": max_attempts,
        "timeout_s": _seconds("timeout", timeout),
        "memory": memory,
        "retry": retry,
        "traceparent": traceparent,
        **_expires(expires),
    }
    return {option: value for option, value in options.items() if value is not None}


def _seconds(option: str, duration: str | float | None) -> float | None:
    try:
        return None if duration is None else parse_duration(duration)
    except ValueError as error:
        raise InvalidJob(f"{option}: {error}") from None


def _expires(expires: str | float | datetime | None) -> dict[str, Any]:
    try:
        until = parse_expires(expires) if isinstance(expires, str) else expires
    except ValueError as error:
        raise InvalidJob(f"expires: {error}") from None
    return {"expires_s" if isinstance(until, int | float) else "expires_at": until}


def _checked(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Check options as an enqueue would: the place to learn of a wrong one is where it is written."""
    from farm.store.newjobs import validate

    validate({"task": f"any:{name}", **options}, f"{name}: ")
    return options
