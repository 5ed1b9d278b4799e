"""Performs what a farm is asked for while it runs, through its socket or the database. Main thread only; everything may be asked twice."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from farm.errors import FarmError
from farm.model import HostRequest
from farm.spelling import did_you_mean
from farm.supervisor.control.pauses import Pauses
from farm.supervisor.control.postbox import Postbox
from farm.supervisor.log.events import Event, event

SAID_MAX, CHARACTERS_MAX = 200, 2000
"""Lines of an answer, and characters of each."""

TELL_THEMSELVES = ("drain", "reload")
"""Their own log lines say what comes of them."""

HERE_ONLY = ("status", "config", "screen", "tasks")

Answer = dict[str, Any]
Arguments = Mapping[str, Any]

log = logging.getLogger("farm")


class Reloader(Protocol):
    """Applies the configuration file anew."""

    def reload(self) -> list[str]:
        """Returns in words what has changed. Raises FarmError, and then nothing has."""
        ...


class Commands:
    """What may be asked: `pause` and `resume` (lanes, queues), `drain` (hurry), `reload`; and what changes nothing: `status`, `config`,
    `screen` and `tasks` (panorama.py)."""

    def __init__(
        self,
        *,
        pauses: Pauses,
        drain: Callable[[bool], tuple[float, list[str]]],
        reloader: Reloader,
        snapshot: Callable[[], Answer],
        config: Callable[[], Answer],
        screen: Callable[[], Answer],
        tasks: Callable[[Any], Answer],
    ) -> None:
        """drain: leave, or hurry; returns for how many seconds jobs may run, and says so in words. config: the one at work, as data."""
        self._pauses = pauses
        self._drain = drain
        self._reloader = reloader
        self._perform: dict[str, Callable[[Arguments], Answer]] = {
            "pause": self._pause,
            "resume": self._resume,
            "drain": self._begin_drain,
            "reload": lambda _arguments: _said(self._reloader.reload()),
            "status": lambda _arguments: {"ok": True, **snapshot()},
            "config": lambda _arguments: {"ok": True, **config()},
            "screen": lambda _arguments: {"ok": True, **screen()},
            "tasks": lambda arguments: {"ok": True, **tasks(arguments.get("of"))},
        }

    def perform(self, request: Arguments, by: str) -> Answer:
        """Do what is asked and return the answer; by: who asks, for the log. Raises nothing."""
        do = request.get("do")
        perform = self._perform.get(do) if isinstance(do, str) else None
        if perform is None:
            return {"error": f"there is nothing called {do!r} to be asked for{did_you_mean(str(do), self._perform)}"[:CHARACTERS_MAX]}
        if do in TELL_THEMSELVES:
            log.info("%s, asked for by %s", do, by, extra=event(Event.ASKED, do=do, by=by))
        try:
            answer = perform(request)
        except FarmError as error:
            if do not in TELL_THEMSELVES:
                refused = event(Event.REFUSED, do=do, by=by, why=str(error))
                log.warning("%s, asked for by %s, was refused: %s", do, by, error, extra=refused)
            return {"error": _clean(str(error))}
        except Exception as error:
            # The jobs of a farm are worth more than what somebody just wants of it.
            log.exception("%s, asked for by %s, failed; the farm goes on", do, by)
            return {"error": _clean(f"a mistake in farm itself: {type(error).__name__}: {error} (its log shows where)")}
        if (said := answer.get("said")) and do not in TELL_THEMSELVES:
            log.info("%s, asked for by %s: %s", do, by, "; ".join(said), extra=event(Event.ASKED, do=do, by=by, said=said))
        return answer

    def answer(self, request: HostRequest, postbox: Postbox) -> None:
        """Do what was asked for through the database, as far as it may be asked for there, and have the answer written."""
        arguments = request.arguments if isinstance(request.arguments, dict) else {}
        if request.kind in HERE_ONLY:
            answer: Answer = {"error": f"{request.kind} is answered on the host itself only"}
        else:
            answer = self.perform({**arguments, "do": request.kind}, f"{_printable(request.made_by)}, through the database")
        postbox.answer(request.id, answer)

    def _pause(self, arguments: Arguments) -> Answer:
        lanes, queues = _names(arguments, "lanes"), _names(arguments, "queues")
        every_lane = arguments.get("all") is True
        if not lanes and not queues and not every_lane:
            raise FarmError("nothing to pause was named")
        return _said(self._pauses.pause(lanes, queues, every_lane=every_lane))

    def _resume(self, arguments: Arguments) -> Answer:
        return _said(self._pauses.resume(_names(arguments, "lanes"), _names(arguments, "queues")))

    def _begin_drain(self, arguments: Arguments) -> Answer:
        left_s, lines = self._drain(arguments.get("hurry") is True)
        return {**_said(lines), "left_s": left_s}


def _names(arguments: Arguments, key: str) -> list[str]:
    value = arguments.get(key, [])
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise FarmError(f"{key}: expected a list of names")
    return value


def _said(lines: list[str]) -> Answer:
    return {"ok": True, "said": [_clean(line) for line in lines[:SAID_MAX]]}


def _printable(text: str) -> str:
    """Return a text of somebody else's as one that can stand in a line of the log."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _clean(text: str) -> str:
    """Return text that is fit to be stored and sent: bounded, without what JSON or PostgreSQL does not take."""
    return text[:CHARACTERS_MAX].replace("\0", "").encode("utf-8", "replace").decode()
