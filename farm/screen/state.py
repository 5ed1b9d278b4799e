"""What whoever looks at the screen has chosen: a pane, a row, an order, a filter, what is open, what was asked. Data only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Pane(StrEnum):
    """The lists that one can move in."""

    LANES = "lanes"
    SUBWORKERS = "subworkers"
    FAILURES = "failures"
    HOSTS = "hosts"
    QUEUES = "queues"


class Do(StrEnum):
    """What a key asks of the program or the farm."""

    QUIT = "quit"
    LOOK = "look"
    OPEN = "open"
    PAUSE = "pause"
    RESUME = "resume"
    DRAIN = "drain"
    CANCEL = "cancel"
    RETRY = "retry"


@dataclass(frozen=True, slots=True)
class Action:
    """Something to do, and to what: a lane's name, a job's id, nothing."""

    do: Do
    lane: str = ""
    job_id: int = 0


@dataclass(frozen=True, slots=True)
class Question:
    """What stands in the footer until y or n is pressed."""

    text: str
    action: Action


@dataclass(frozen=True, slots=True)
class Said:
    """What the farm has answered, shown in the footer for some seconds."""

    text: str
    bad: bool = False


@dataclass(frozen=True, slots=True)
class Cursor:
    """The row that is chosen in a pane, by its key; where that is gone, by where it stood."""

    key: object = None
    index: int = 0


@dataclass(frozen=True, slots=True)
class Opened:
    """A page about one thing: a lane, subworker or host by its key, a job by its id. at: the first line, or the row, that is shown."""

    kind: Pane | None
    """None: a job."""
    key: object
    at: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class JobPage:
    """A job that was looked up: what `Source.job` has returned, or why it has not. Both empty: it is being looked up.

    Each is another one, however equal: what was drawn of one is kept.
    """

    job_id: int
    job: Mapping[str, Any] | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """All that was chosen. `press` makes the next one of it, drawing only reads it."""

    pane: Pane | None = None
    """None: the first one."""
    cursors: Mapping[Pane, Cursor] = field(default_factory=dict)
    orders: Mapping[Pane, int] = field(default_factory=dict)
    """Which of a pane's orders is chosen."""
    filter: str = ""
    typing: bool = False
    """The filter is being typed."""
    opened: tuple[Opened, ...] = ()
    """Pages, each opened from the one before it."""
    page: JobPage | None = None
    """The job that was looked up last."""
    question: Question | None = None
    said: Said | None = None
    helping: bool = False
    """The page of keys is shown."""
    noticing: bool = False
    """The page of notices is shown."""
    scrolled: int = 0
    """The first line of either that is seen."""
    frozen: bool = False
    silent_s: int = 0
    """How long nothing has come from the farm, where that is longer than usual."""
