"""Finding all jobs that have not ended and are of a queue, a task and some states: page by page, so that memory and locks are bounded."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from farm.model import State
from farm.store.session import Session

PAGE_JOBS_MAX = 10_000
LEASES_MAX = 2
"""Leases in a page: each holds up to claim_max jobs."""
WAITING = frozenset({State.SCHEDULED, State.READY, State.RETRYING})
HELD = frozenset({State.CLAIMED, State.RUNNING})


class Selection(NamedTuple):
    """Which jobs are meant."""

    queue: str | None
    """None: any."""
    task: str | None
    """A task, in which * stands for any characters; None: any."""
    states: Collection[State]
    """Of WAITING and HELD."""


class Page(NamedTuple):
    """Jobs that were found, and how."""

    job_ids: list[int]
    waiting: bool
    """They waited; else a host had them."""


class SelectionStore:
    """Reads only. Jobs move on meanwhile: what is done with a page decides anew for each of its jobs."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def pages(self, selection: Selection) -> Iterator[Page]:
        """Give the jobs that are meant, up to 10,000 at a time: first those that wait, since from there they go to hosts."""
        states = selection.states
        class_ids: list[int] | None = None
        classes = self._session.fetch("list_classes")
        if selection.queue is not None:
            class_ids = [row[0] for row in classes if row[1] == selection.queue]
            if not class_ids:
                return
        of = {"class_ids": class_ids, "task": selection.task and like(selection.task)}
        if State.SCHEDULED in states or State.RETRYING in states:
            which = {"new": State.SCHEDULED in states, "retrying": State.RETRYING in states}
            yield from self._turn("page_scheduled", {**of, **which, "jobs_max": PAGE_JOBS_MAX}, PAGE_JOBS_MAX, True)
        if State.READY in states:
            for class_id, priority in self._ready_pairs(class_ids):
                pair = {"class_id": class_id, "priority": priority, "task": of["task"], "jobs_max": PAGE_JOBS_MAX}
                yield from self._turn("page_ready", pair, PAGE_JOBS_MAX, True)
            yield from self._turn("page_returned", {**of, "jobs_max": PAGE_JOBS_MAX}, PAGE_JOBS_MAX, True)
        if State.CLAIMED in states or State.RUNNING in states:
            which = {"claimed": State.CLAIMED in states, "running": State.RUNNING in states}
            yield from self._turn("page_leases", {**of, **which, "leases_max": LEASES_MAX}, LEASES_MAX, False)

    def count(self, selection: Selection) -> int:
        """Count the jobs that are meant."""
        return sum(len(page.job_ids) for page in self.pages(selection))

    def _ready_pairs(self, class_ids: list[int] | None) -> list[tuple[int, int]]:
        """Return the (class, priority) pairs that have entries in `ready`."""
        names = ("id_classes", "id_priorities", "above_ids", "seq_classes", "seq_priorities", "above_seqs")
        found = self._session.fetch("find_work", dict.fromkeys(names, "{}"))
        return [
            (class_id, priority)
            for class_id, priority, from_returned, _ in found
            if not from_returned and (class_ids is None or class_id in class_ids)
        ]

    def _turn(self, name: str, params: dict[str, Any], full: int, waiting: bool) -> Iterator[Page]:
        """Turn over the pages of one place, from its beginning to its end."""
        above_id, looked = 0, full
        while looked == full:
            looked, above_id, job_ids = self._session.transact(name, {**params, "above_id": above_id})[0]
            if job_ids:
                yield Page(job_ids, waiting)


def like(pattern: str) -> str:
    """Return a pattern with * as one of LIKE."""
    for special in ("\\", "%", "_"):
        pattern = pattern.replace(special, f"\\{special}")
    return pattern.replace("*", "%")
