"""The thread that speaks to the farm, so that the screen never waits: it looks several times a second, and does what keys ask for.

It alone uses the source, once it has been started. A database that is slow makes the picture old, and the keys go on.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass

from farm.errors import FarmError
from farm.screen.model import Snapshot, Source
from farm.screen.state import Action, Do, JobPage, Said

CLOSE_S = 1.0
"""How long leaving waits for something that was asked and is not answered."""


@dataclass(frozen=True, slots=True)
class News:
    """What a look or an action has brought; only what there is of it."""

    snapshot: Snapshot | None = None
    said: Said | None = None
    page: JobPage | None = None
    action: Action | None = None
    """The one that was done."""
    broken: Exception | None = None
    """A mistake in the source: nothing more comes."""


class Looker:
    """Looks every interval_s, and in between does what is asked of it. `news` holds what came, and `wakeup` becomes readable then."""

    def __init__(self, source: Source, interval_s: float) -> None:
        self._source = source
        self._interval_s = interval_s
        self._asked: queue.SimpleQueue[Action | None] = queue.SimpleQueue()
        self.news: queue.SimpleQueue[News] = queue.SimpleQueue()
        self.wakeup, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.seen: Collection[str] | None = None
        """The subworkers that are on the screen; None: not known."""
        self._frozen = False
        self._thread = threading.Thread(target=self._run, name="farm-screen-source", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def ask(self, action: Action) -> None:
        """Have something done, as soon as what is done now has ended."""
        self._asked.put(action)

    def freeze(self, frozen: bool) -> None:
        """Stop looking, or go on with it at once."""
        if frozen != self._frozen:
            self._frozen = frozen
            self._asked.put(Action(Do.LOOK))

    def close(self) -> bool:
        """Stop and close the source, unless that takes too long: then it goes with this process. Returns whether it was closed."""
        if self._thread.ident is None:
            self._source.close()
            return True
        self._asked.put(None)
        self._thread.join(CLOSE_S)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._work()
        except Exception as error:
            # To be raised where it is seen: the other thread has the terminal, and puts it right.
            self._tell(News(broken=error))
        finally:
            self._source.close()

    def _work(self) -> None:
        """Look and act until there is nothing more to be asked."""
        due_s = time.monotonic()
        while True:
            wait_s = None if self._frozen else max(0.0, due_s - time.monotonic())
            try:
                action = self._asked.get(wait_s != 0, wait_s)
            except queue.Empty:
                # What takes longer than its time is not made up for.
                due_s = max(due_s + self._interval_s, time.monotonic())
                self._tell(self._look())
                continue
            if action is None:
                return
            if action.do is Do.LOOK:
                due_s = time.monotonic()
            else:
                self._tell(self._act(action))

    def _look(self) -> News:
        try:
            return News(snapshot=self._source.look(self.seen))
        except FarmError as error:
            return News(said=Said(str(error), bad=True))

    def _act(self, action: Action) -> News:
        try:
            if action.do is Do.OPEN:
                return News(page=JobPage(action.job_id, job=self._source.job(action.job_id)), action=action)
            return News(said=Said(self._done(action)), action=action)
        except FarmError as error:
            if action.do is Do.OPEN:
                return News(page=JobPage(action.job_id, error=str(error)), action=action)
            return News(said=Said(str(error), bad=True), action=action)

    def _done(self, action: Action) -> str:
        match action.do:
            case Do.PAUSE:
                return self._source.pause(action.lane)
            case Do.RESUME:
                return self._source.resume(action.lane)
            case Do.DRAIN:
                return self._source.drain()
            case Do.CANCEL:
                return self._source.cancel(action.job_id)
            case Do.RETRY:
                return self._source.retry(action.job_id)
        raise AssertionError(f"{action.do} is nothing for the farm")

    def _tell(self, news: News) -> None:
        self.news.put(news)
        try:
            os.write(self._wake, b"\0")
        except BlockingIOError:
            pass  # It is awake.
