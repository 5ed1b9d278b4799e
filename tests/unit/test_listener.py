"""What a lane is told, out of all that anybody may notify."""

from __future__ import annotations

import pytest

from farm.errors import StoreUnavailable
from farm.supervisor.listener import Listener


class Heard:
    """Wake-ups that have come, and whom they were passed on to."""

    def __init__(self, *payloads: str) -> None:
        self._payloads = list(payloads)
        self.pairs: list[tuple[int, int]] = []
        self.looks = 0
        self.job_ids: list[int] = []
        self.later = self.waiters = 0
        self.hearing: list[bool] = []
        self._listener = Listener(
            wakeups=self,
            work=self.note_work,
            announced=self.job_ids.extend,
            later=self.note_later,
            waiters=self.note_waiters,
            hearing=self.hearing.append,
        )
        self.connected: bool | None = True
        """None: it has just been connected."""

    def wait(self, timeout_s: float) -> list[str] | None:
        if self.connected is False:
            raise StoreUnavailable
        return self._payloads if self.connected else None

    def note_work(self, pairs: list[tuple[int, int]]) -> None:
        self.pairs.extend(pairs)
        self.looks += not pairs

    def interrupt(self) -> None:
        raise AssertionError

    def note_later(self) -> None:
        self.later += 1

    def note_waiters(self) -> None:
        self.waiters += 1

    def step(self) -> Heard:
        self._listener.step(0.0)
        return self


def test_wake_ups_are_passed_on() -> None:
    heard = Heard("3:4", "3:4", "5:0:17", "later").step()
    assert sorted(heard.pairs) == [(3, 4), (5, 0)]
    assert heard.job_ids == [17]
    assert (heard.later, heard.looks) == (1, 0)
    heard = Heard("waiters").step()
    assert (heard.waiters, heard.later, heard.looks) == (1, 0, 0)
    heard = Heard("3:4", "classes").step()
    assert (heard.pairs, heard.looks) == ([(3, 4)], 1), "what says more than a pair is not lost beside one"


def test_whoever_claims_is_told_once_when_wake_ups_are_no_longer_heard_and_when_they_are_again() -> None:
    heard = Heard()
    heard.connected = False
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            heard.step()
    assert heard.hearing == []
    for heard.connected in (None, True):
        heard.step()
    heard.connected = False
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            heard.step()
    heard.connected = None
    heard.step()
    assert heard.hearing == [True, False, True]
    assert heard.looks == 0


@pytest.mark.parametrize(
    "payload", ["", "classes", "1", "1:10", "1:99999", "1:-1", "1:2:3:4", "a:4", f"{10**30}:4", f"1:4:{10**19}", "9" * 5000 + ":4"]
)
def test_wake_ups_that_are_none_of_ours(payload: str) -> None:
    """Anybody may notify a channel: what no claim could be sent for is passed over."""
    heard = Heard(payload).step()
    assert (heard.pairs, heard.job_ids, heard.later) == ([], [], 0)
