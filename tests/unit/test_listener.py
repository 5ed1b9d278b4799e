"""What a lane is told, out of all that anybody may notify."""

from __future__ import annotations

import pytest

from farm.supervisor.listener import Listener


class Heard:
    """Wake-ups that have come, and whom they were passed on to."""

    def __init__(self, *payloads: str) -> None:
        self._payloads = list(payloads)
        self.pairs: list[tuple[int, int]] = []
        self.job_ids: list[int] = []
        self.later = 0

    def wait(self, timeout_s: float) -> list[str]:
        return self._payloads

    def interrupt(self) -> None:
        raise AssertionError

    def note_later(self) -> None:
        self.later += 1

    def step(self) -> Heard:
        Listener(wakeups=self, work=self.pairs.extend, announced=self.job_ids.extend, later=self.note_later).step(0.0)
        return self


def test_wake_ups_are_passed_on() -> None:
    heard = Heard("3:4", "3:4", "5:0:17", "later").step()
    assert sorted(heard.pairs) == [(3, 4), (5, 0)]
    assert heard.job_ids == [17]
    assert heard.later == 1


@pytest.mark.parametrize(
    "payload", ["", "classes", "1", "1:10", "1:99999", "1:-1", "1:2:3:4", "a:4", f"{10**30}:4", f"1:4:{10**19}", "9" * 5000 + ":4"]
)
def test_wake_ups_that_are_none_of_ours(payload: str) -> None:
    """Anybody may notify a channel: what no claim could be sent for is passed over."""
    heard = Heard(payload).step()
    assert (heard.pairs, heard.job_ids, heard.later) == ([], [], 0)
