"""What the supervisor tells the writer over their control socket, and back: JSON, one message a datagram."""

from __future__ import annotations

import socket
from dataclasses import asdict, dataclass
from typing import Any

import orjson

MESSAGE_BYTES_MAX = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """The first message: all that the writer knows. The DSN travels only here, never in argv or environment."""

    dsn: str
    pooled: bool
    batch_max: int
    age_max_s: float
    drain_timeout_s: float
    ack_path: str
    groups_home: str
    """The control group in which those of subworkers are, "" if they have none."""
    failures_path: str
    """The file of the last failures, see farm.shm.failures."""
    spill_directory: str
    spill_bytes_max: int
    policies: list[dict[str, Any]]
    """The section `tasks` of the configuration, see farm.retry.Policy.as_data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopt:
    """Go on with these options: the configuration was read again."""

    batch_max: int
    age_max_s: float
    drain_timeout_s: float
    spill_bytes_max: int
    policies: list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attach:
    """Read this result ring from now on; a descriptor beside it wakes its producer when there is room again."""

    name: str
    number: int
    path: str
    of_subworker: bool
    desk: bool
    """It is the desk of the living supervisor."""
    lane: str
    """Whose results are in it; "" where that is of no interest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detach:
    """Let go of a ring that is drained."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """Commit everything at once from now on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """Everything is committed: end."""


Message = Start | Adopt | Attach | Detach | Drain | Leave
_KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in (Start, Adopt, Attach, Detach, Drain, Leave)}


def send(control: socket.socket, message: Message, descriptors: tuple[int, ...] = ()) -> None:
    """Send one message, with descriptors to be copied to the other side."""
    socket.send_fds(control, [orjson.dumps({type(message).__name__: asdict(message)})], list(descriptors))


def receive(control: socket.socket) -> tuple[Message, list[int]] | None:
    """Take the next message and its descriptors; None when the other side is gone. Raises BlockingIOError if there is none."""
    try:
        data, descriptors, _flags, _address = socket.recv_fds(control, MESSAGE_BYTES_MAX, 4)
    except ConnectionResetError:
        return None
    if not data:
        return None
    ((name, fields),) = orjson.loads(data).items()
    message: Message = _KINDS[name](**fields)
    return message, descriptors
