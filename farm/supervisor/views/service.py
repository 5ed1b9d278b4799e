"""What a service manager hears of this farm: ready, reloading, stopping, and that it makes progress. The protocol of sd_notify(3).

Whoever was started by none has no NOTIFY_SOCKET, and then all of this does nothing. Main thread only.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, MutableMapping

from farm.supervisor.log.events import Event, event

STATUS_CHARS_MAX = 200
FEEDS = 3
"""The watchdog is fed so often within the time that it has patience for."""
LOOK_S = 5.0
"""How often it is asked whether the farm makes progress, if it is not fed more often: since when something stands still is known only to
whoever looks all the time."""
OWED_S = 0.2
"""How soon a word is said again for which there was no room: a manager that never hears that we are ready ends us."""
TALK_S_MAX = 10.0
"""How often the manager is told anew how the farm does, if that has changed."""

log = logging.getLogger("farm")


class Service:
    """Speaks to the service manager. A farm does not stop for a message that cannot be sent: it is lost, or, if it says that the farm is
    ready, said again.

    Modes: starting; ready; reloading, for a moment; stopping, for good.
    """

    def __init__(self, environ: MutableMapping[str, str], *, pid: int) -> None:
        """Takes what the manager has said out of the environment: no child is to speak for us."""
        address = environ.pop("NOTIFY_SOCKET", "")
        patience_us = environ.pop("WATCHDOG_USEC", "")
        watched = environ.pop("WATCHDOG_PID", "")
        self._address = _address(address)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) if self._address else None
        if self._socket is not None:
            # Its queue is short, and a manager may be stopped: nothing here waits for it.
            self._socket.setblocking(False)
        is_ours = watched in ("", str(pid))
        self._feed_s = int(patience_us) / 1e6 / FEEDS if self._address and is_ours and patience_us.isdecimal() else 0.0
        self._feed_at = self._look_at = 0.0
        self._talk_at = 0.0
        self._status = self._why_stuck = ""
        self.stuck: Callable[[], str] = str
        """Says why the farm makes no progress though it should, "" if it does; to be set by whoever knows."""
        self._owed: tuple[str, ...] = ()
        """What is to be said again."""
        self._stopping = False

    @property
    def watched(self) -> bool:
        """True if the manager ends a farm that it has not heard of for a while."""
        return self._feed_s > 0

    def tell_ready(self, status: str) -> None:
        """Say that work is taken, or that a reload is done."""
        if not self._stopping:
            self._owed = ("READY=1", f"STATUS={_line(status)}")
            self._pay()

    def tell_reloading(self) -> None:
        """Say that the configuration is being read again. tell_ready() follows, whatever comes of it."""
        if not self._stopping:
            self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def tell_stopping(self, status: str, left_s: float) -> None:
        """Say that the farm leaves, and within which time: the manager has that much more patience."""
        self._stopping, self._owed = True, ()
        self._send("STOPPING=1", f"EXTEND_TIMEOUT_USEC={round(left_s * 1e6)}", f"STATUS={_line(status)}")

    def step(self, now: float, status: Callable[[], str]) -> float:
        """Feed the watchdog if that is due, unless the farm is stuck; returns the seconds until the next time.

        status: one line on how the farm does. While it is stuck the manager hears why, instead, and ends us when its patience is over.
        """
        if self._socket is None:
            return float("inf")
        self._pay()
        next_at = self._watch(now) if self._feed_s else float("inf")
        if now >= self._talk_at:
            self._talk_at = now + TALK_S_MAX
            self._tell_status(f"stuck: {self._why_stuck}" if self._why_stuck else status())
        next_at = min(self._talk_at, next_at)
        return min(next_at - now, OWED_S) if self._owed else next_at - now

    def close(self) -> None:
        """Say nothing any more; may be called again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _watch(self, now: float) -> float:
        """Look and feed, each when it is due; returns when the next of it is."""
        if now >= self._look_at:
            self._look_at = now + min(LOOK_S, self._feed_s)
            was_stuck, self._why_stuck = bool(self._why_stuck), self.stuck()
            if was_stuck != bool(self._why_stuck):
                self._note_turn(now)
        if now >= self._feed_at and not self._why_stuck:
            self._feed_at = now + self._feed_s
            self._send("WATCHDOG=1")
        return self._look_at if self._why_stuck else min(self._look_at, self._feed_at)

    def _note_turn(self, now: float) -> None:
        """Tell at once, and log, that the farm is stuck, or no longer."""
        self._talk_at = now
        if self._why_stuck:
            stuck = event(Event.STUCK, why=self._why_stuck)
            log.error(
                "no progress: the watchdog is not fed any more, and ends this farm unless that changes: %s", self._why_stuck, extra=stuck
            )
        else:
            self._feed_at = now
            log.warning("there is progress again: the watchdog is fed", extra=event(Event.GETS_ON))

    def _tell_status(self, status: str) -> None:
        if status != self._status:
            self._status = status
            self._send(f"STATUS={_line(status)}")

    def _pay(self) -> None:
        if self._owed and self._send(*self._owed):
            self._owed = ()

    def _send(self, *lines: str) -> bool:
        """Send a message; False if that may be tried again."""
        if self._socket is not None:
            try:
                self._socket.sendto("\n".join(lines).encode(), self._address)
            except BlockingIOError:
                return False
            except OSError:
                # Nobody is there to hear it.
                return True
        return True


def _address(named: str) -> bytes:
    """Return the address of a socket as the kernel takes it; b"" for none, and for what is none on this kind of system."""
    if named.startswith("@"):
        return b"\0" + os.fsencode(named[1:])
    return os.fsencode(named) if named.startswith("/") else b""


def _line(text: str) -> str:
    """Return text that is one line, whatever stands in it."""
    return "".join(character if character.isprintable() else " " for character in text)[:STATUS_CHARS_MAX]
