"""What a lane wants of each of its subworkers before the first job: variables, CPUs, niceness, and its `setup` functions."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from inspect import iscoroutine
from typing import TYPE_CHECKING, Any

from farm.cgroups import join
from farm.dsn import without_passwords

if TYPE_CHECKING:
    from collections.abc import Iterator

    from farm.subworker.order import ForkOrder

REASON_CHARS_MAX = 300
SECRET_CHARS_MIN = 6
"""Shorter values of variables stand in ordinary words, too, and keep no secret."""

Wait = Callable[[Coroutine[Any, Any, Any]], object]


class SetupFailed(Exception):
    """Something that a subworker cannot work without: its text says what, its cause why."""


@contextmanager
def setting_up(what: str) -> Iterator[None]:
    """Name what is being set up, should it fail: whatever it raises comes out as the cause of a SetupFailed."""
    try:
        yield
    except BaseException as error:
        raise SetupFailed(what) from error


def surround(order: ForkOrder) -> None:
    """Give this process the variables, the CPUs, the niceness and the control group that it is to have. Before anything is imported that
    looks at them, or counts.

    Raises SetupFailed: for CPUs that are not there (any more), for a niceness that takes a privilege.
    """
    os.environ.update(order.env)
    if order.group:
        # The supervisor looks whether it is in there before it counts on that.
        with suppress(OSError):
            join(order.group)
    if order.cpus:
        with setting_up(f"cpus {', '.join(map(str, order.cpus))}"):
            os.sched_setaffinity(0, order.cpus)
    if order.nice:
        with setting_up(f"nice {order.nice}"):
            os.nice(order.nice)


def call_setup(functions: Sequence[str], *, wait: Wait | None) -> None:
    """Call the functions of a lane's `setup`, in order, each without arguments. Raises SetupFailed for the first that raises.

    wait: runs a coroutine to its end, on the loop on which the lane's jobs will be awaited; None where there is no such loop.
    """
    for name in functions:
        with setting_up(f"setup {name}"):
            value = _find(name)()
            if iscoroutine(value):
                if wait is None:
                    value.close()
                    raise TypeError("it is a coroutine function, and those are awaited only in lanes with a concurrency above 1")
                wait(value)


def reason_of(error: BaseException, *, secrets: Iterable[str]) -> str:
    """Say in one line of up to REASON_CHARS_MAX characters what has stopped a subworker from working, and where in the user's code.

    secrets: texts that must not stand in it, such as the values of the lane's variables; nor does what may be the password of a DSN.
    """
    cause = error.__cause__ or error
    try:
        text = f"{type(cause).__name__}: {cause}" if str(cause) else type(cause).__name__
    except BaseException:
        text = type(cause).__name__
    text = (f"{error}: " if cause is not error else "") + text
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SECRET_CHARS_MIN:
            text = text.replace(secret, "***")
    text = without_passwords(" ".join(text.split()))
    text = "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)
    place = _place_of(cause)
    room = REASON_CHARS_MAX - len(place)
    return (text if len(text) <= room else f"{text[: room - 3]}...") + place


def _find(name: str) -> Callable[[], Any]:
    module_name, _, function_name = name.partition(":")
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(error.name + ".")):
            raise LookupError(f"there is no module {error.name!r}; is its directory in runners.python.path?") from None
        raise
    function = getattr(module, function_name, None)
    # What @farm.task has made of a function stands in its place.
    function = getattr(function, "__farm_function__", function)
    if not callable(function):
        raise LookupError(f"module {module_name!r} has no function {function_name!r}")
    return function  # type: ignore[no-any-return]


def _place_of(error: BaseException) -> str:
    """Return ` (pools.py, line 12)`, the innermost line of Python that is not farm's own; "" if there is none."""
    own = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith((own, "<frozen"))]
    return f" ({os.path.basename(frames[-1].filename)[-40:]}, line {frames[-1].lineno})" if frames else ""
