"""A thread that runs a part, as others see it."""

from __future__ import annotations

import threading

from farm.errors import StoreUnavailable
from farm.supervisor.engine.threads import PartThread
from tests.process.crew import wait_for


class Refused:
    """A part that the database refuses something, until it no longer does."""

    def __init__(self) -> None:
        self.refused = threading.Event()
        self.refused.set()

    def step(self, now: float) -> float:
        if self.refused.is_set():
            raise StoreUnavailable("the disk is full")
        return 0.01


def test_a_thread_tells_whether_its_last_step_has_failed() -> None:
    part = Refused()
    thread = PartThread("claims", part)
    assert not thread.fails
    thread.start()
    wait_for(lambda: thread.fails, "a step that fails")
    part.refused.clear()
    wait_for(lambda: not thread.fails, "one that does not")
    assert thread.failures == 0, "a database that is away is no mistake of ours"
    assert thread.stop(20.0)
