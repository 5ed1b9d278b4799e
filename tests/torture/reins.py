"""Whoever runs the farms: has them read another configuration, right or wrong, pauses lanes and queues, and lets them go on.

In a thread of its own, since a farm that is stopped or dead does not answer. Everything is asked in one of the ways that a user has:
through the control socket, through the database, or with a signal.
"""

from __future__ import annotations

import heapq
import queue
import random
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import yaml

from farm.control import connect
from farm.errors import FarmError
from farm.store.requests import RequestStore
from farm.store.session import Session
from tests.torture.host import Host
from tests.torture.plan import Blow, Strike
from tests.torture.settings import LANES, QUEUES, Settings, spoiled, varied

ANSWER_S = 1.5
"""How long to wait for an answer: farms are killed and stopped all the time."""
LOOK_S = 0.05
BY_DATABASE = 0.3
"""Of what is asked: the share that goes through the database."""
BY_SIGNAL = 0.3
"""Of reloads: the share that a signal asks for."""
REREAD = re.compile(r"reload: every subworker is replaced")
REFUSED = re.compile(r"reload: nothing has changed")
GIVEN = (Blow.RELOAD, Blow.BAD_RELOAD, Blow.PAUSE_LANE, Blow.PAUSE_QUEUE)
"""What is done here."""


@dataclass(frozen=True, slots=True, order=True)
class Resume:
    """What was paused, and is to go on."""

    at: float
    host: Host = field(compare=False)
    arguments: Mapping[str, Sequence[str]] = field(compare=False)


class Reins:
    """Told what to do by another thread, one thing after the other. `answered` counts what farms have said that they did."""

    def __init__(self, *, hosts: Sequence[Host], dsn: str, rng: random.Random) -> None:
        self.answered: Counter[str] = Counter()
        self._hosts = hosts
        self._session = Session(dsn, application_name="torture", deadline_s=5)
        self._requests = RequestStore(self._session)
        self._rng = rng
        self._strikes: queue.SimpleQueue[Strike] = queue.SimpleQueue()
        self._resumes: list[Resume] = []
        self._unanswered: list[int] = []
        """Requests in the database that may be carried out yet."""
        self._settings: dict[Host, Settings] = {host: host.settings for host in hosts}
        self._calming = threading.Event()
        self._at_rest: set[Host] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reins", daemon=True)
        self._thread.start()

    def strike(self, strike: Strike) -> None:
        """Do one of GIVEN as soon as there is time."""
        self._strikes.put(strike)

    def calm(self) -> None:
        """Begin nothing new; give every host its first configuration, and have everything go on."""
        self._calming.set()

    @property
    def at_rest(self) -> bool:
        """True once every host has done so."""
        return len(self._at_rest) == len(self._hosts)

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(60)
        self._session.close()

    def reloads(self) -> tuple[int, int]:
        """Return how often farms have gone on by another configuration, and have refused one, as their logs say."""
        logs = [host.farm.whole_log for host in self._hosts]
        return sum(len(REREAD.findall(log)) for log in logs), sum(len(REFUSED.findall(log)) for log in logs)

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_S):
            if self._calming.is_set():
                self._come_to_rest()
                continue
            while self._resumes and self._resumes[0].at <= time.monotonic():
                self._resume(heapq.heappop(self._resumes))
            with suppress(queue.Empty):
                self._carry_out(self._strikes.get_nowait())

    def _carry_out(self, strike: Strike) -> None:
        host = self._hosts[strike.host]
        match strike.blow:
            case Blow.RELOAD:
                self._settings[host] = varied(host.settings, self._rng)
                host.write(yaml.safe_dump(self._settings[host], sort_keys=False))
                self._reload(host)
            case Blow.BAD_RELOAD:
                host.write(spoiled(self._settings[host], self._rng))
                self._reload(host)
                # Its supervisor may be killed at any time, and could not start again.
                host.write(yaml.safe_dump(self._settings[host], sort_keys=False))
            case Blow.PAUSE_LANE:
                self._pause(host, {"lanes": [_picked(LANES, strike.pick)]}, strike)
            case Blow.PAUSE_QUEUE:
                self._pause(host, {"queues": [_picked(QUEUES, strike.pick)]}, strike)

    def _reload(self, host: Host) -> None:
        if self._rng.random() < BY_SIGNAL:
            # One that is only just starting knows no signal yet, and would die of it.
            if host.farm.running and host.farm.log_lines("ready$"):
                host.farm.signal(signal.SIGHUP)
                time.sleep(0.2)
        else:
            self._ask(host, "reload", {})

    def _pause(self, host: Host, arguments: Mapping[str, Sequence[str]], strike: Strike) -> None:
        # Even without an answer it may have been done, and would last over restarts.
        heapq.heappush(self._resumes, Resume(time.monotonic() + strike.lasts_s, host, arguments))
        if self._ask(host, "pause", arguments):
            self.answered[strike.blow] += 1

    def _resume(self, resume: Resume) -> None:
        if self._ask(resume.host, "resume", resume.arguments):
            self.answered["resumed"] += 1
        else:
            heapq.heappush(self._resumes, Resume(time.monotonic() + ANSWER_S, resume.host, resume.arguments))

    def _come_to_rest(self) -> None:
        for host in self._hosts:
            if host not in self._at_rest:
                host.write(yaml.safe_dump(host.settings, sort_keys=False))
                if self._withdraw() and self._ask_socket(host, "reload", {}) and self._ask_socket(host, "resume", {}):
                    self._at_rest.add(host)

    def _ask(self, host: Host, do: str, arguments: Mapping[str, Sequence[str]]) -> bool:
        """Ask a host in one of two ways; False if it refused, or did not answer."""
        if self._rng.random() < BY_DATABASE:
            done = self._ask_database(host, do, arguments)
            self.answered["through the database"] += done
            return done
        return self._ask_socket(host, do, arguments)

    def _ask_socket(self, host: Host, do: str, arguments: Mapping[str, Any]) -> bool:
        try:
            with connect(host.farm.home, host.name) as connection:
                connection.ask(do, wait_s=ANSWER_S, **arguments)
        except FarmError:
            return False
        return True

    def _ask_database(self, host: Host, do: str, arguments: Mapping[str, Any]) -> bool:
        made: list[int] = []
        try:
            ids = [one.id for one in self._requests.hosts() if one.live and one.instance == host.name]
            made = list(self._requests.make(ids, do, arguments, made_by="torture"))
            deadline = time.monotonic() + ANSWER_S
            while made and time.monotonic() < deadline:
                answers = self._requests.answers(made)
                if len(answers) == len(made):
                    made = []
                    return any("error" not in answer for answer in answers.values())
                time.sleep(LOOK_S)
        except FarmError:
            pass
        finally:
            self._unanswered += made
            self._withdraw()
        return False

    def _withdraw(self) -> bool:
        """Take back what nobody has answered; False if that cannot be said now."""
        try:
            self._requests.withdraw(self._unanswered)
        except FarmError:
            return False
        self._unanswered.clear()
        return True


def _picked(names: Sequence[str], pick: float) -> str:
    return names[int(pick * len(names))]
