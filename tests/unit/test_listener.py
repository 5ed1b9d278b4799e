"""What a lane is told, out of all that anybody may notify, and how its thread sleeps."""

from __future__ import annotations

import pytest

from farm.errors import StoreUnavailable
from farm.supervisor.claims.listener import RETRY_S, Listener


class Heard:
    """Wake-ups that have come, and whom they were passed on to."""

    def __init__(self, *payloads: str) -> None:
        self._payloads = list(payloads)
        self.connected: bool | None = True
        """None: it has just been connected."""
        self.tries = 0
        self.pauses: list[float] = []
        self.pairs: list[tuple[int, int]] = []
        self.looks = 0
        self.later = self.waiters = self.cancels = self.requests = 0
        self.hearing: list[bool] = []
        self.now = 0.0
        self._listener = Listener(
            wakeups=self,
            claimer=self,
            later=self.note_later,
            waiters=self.note_waiters,
            cancel=self.note_cancel,
            request=self.note_request,
            clock=lambda: self.now,
        )

    def wait(self, timeout_s: float) -> list[str] | None:
        self.tries += 1
        if self.connected is False:
            raise StoreUnavailable
        return self._payloads if self.connected else None

    def pause(self, timeout_s: float) -> None:
        self.pauses.append(timeout_s)

    def interrupt(self) -> None:
        raise AssertionError

    def hear(self, pairs: list[tuple[int, int]]) -> None:
        self.pairs.extend(pairs)
        self.looks += not pairs

    def hear_anew(self, heard: bool) -> None:
        self.hearing.append(heard)

    def note_later(self) -> None:
        self.later += 1

    def note_waiters(self) -> None:
        self.waiters += 1

    def note_cancel(self) -> None:
        self.cancels += 1

    def note_request(self) -> None:
        self.requests += 1

    def sleep(self, wait_s: float = 1.0) -> Heard:
        self._listener.sleep(wait_s)
        return self


def test_wake_ups_are_passed_on() -> None:
    heard = Heard("3:4", "3:4", "5:0:17", "later").sleep()
    assert sorted(heard.pairs) == [(3, 4), (5, 0)]
    assert (heard.later, heard.looks) == (1, 0)
    heard = Heard("waiters").sleep()
    assert (heard.waiters, heard.later, heard.looks) == (1, 0, 0)
    heard = Heard("cancel", "cancel").sleep()
    assert (heard.cancels, heard.waiters, heard.looks) == (1, 0, 0)
    heard = Heard("request").sleep()
    assert (heard.requests, heard.cancels, heard.looks) == (1, 0, 0)
    heard = Heard("3:4", "classes").sleep()
    assert (heard.pairs, heard.looks) == ([(3, 4)], 1), "what says more than a pair is not lost beside one"
    heard = Heard().sleep()
    assert (heard.pairs, heard.looks) == ([], 0)


def test_whoever_claims_is_told_once_when_wake_ups_are_no_longer_heard_and_when_they_are_again() -> None:
    heard = Heard()
    for connected in (False, False, None, True, False, False, None):
        heard.connected = connected
        heard.now += 10.0
        heard.sleep()
    assert heard.hearing == [True, False, True]
    assert heard.looks == 0


def test_a_connection_that_cannot_be_made_is_not_tried_at_every_sleep() -> None:
    heard = Heard()
    heard.connected = False
    heard.sleep()
    heard.sleep(0.001).sleep(1.0)
    assert (heard.tries, heard.pauses) == (1, [0.001, RETRY_S])
    heard.now += RETRY_S
    heard.sleep()
    assert heard.tries == 2


@pytest.mark.parametrize(
    "payload", ["", "classes", "1", "1:10", "1:99999", "1:-1", "1:2:3:4", "a:4", f"{10**30}:4", f"1:4:{10**19}", "9" * 5000 + ":4"]
)
def test_wake_ups_that_are_none_of_ours(payload: str) -> None:
    """Anybody may notify a channel: what no claim could be sent for is passed over, but looked at."""
    heard = Heard(payload).sleep()
    assert (heard.pairs, heard.later, heard.looks) == ([], 0, 1)
