"""The two processes that a farm cannot be without, zygote and writer: whoever of them ends has a successor at once. Main thread only."""

from __future__ import annotations

import logging
import os
import time
from array import array

from farm.config.model import Config
from farm.shm.counters import NO_COMMITS, Commits
from farm.supervisor.crew.children import Children
from farm.supervisor.crew.crew import Crew
from farm.supervisor.engine.loop import Loop
from farm.supervisor.log.events import Event, event
from farm.supervisor.processes.generation import Phase
from farm.supervisor.processes.writer import Writer
from farm.supervisor.processes.zygote import Zygote

QUICK_S, QUICK_ENDS_MAX = 1.0, 10

log = logging.getLogger("farm")


class Mainstays:
    """Holds the living ones. A zygote that was replaced by a reload stays until those are born that it was to fork."""

    def __init__(self, *, config: Config, loop: Loop, children: Children, crew: Crew, zygote: Zygote, writer: Writer) -> None:
        self.zygote = zygote
        self.writer = writer
        self.failed = ""
        """The name of the one that ends again and again as soon as it is started: the farm cannot go on."""
        self._config = config
        self._loop = loop
        self._children = children
        self._crew = crew
        self._former: list[Zygote] = []
        self._acks_left: list[tuple[int, array[int]]] = []
        """Of writers that ended, not taken yet."""
        self._quick_ends = 0
        self._commits_before = NO_COMMITS
        """Of writers that were replaced."""
        self._watch(zygote)

    @property
    def dropped(self) -> int:
        """Outcomes that the fence dropped since the farm's start: duplicate, stale, or unknown."""
        counts = self.commits().counts
        return counts.duplicate + counts.stale + counts.unknown

    def commits(self) -> Commits:
        """Return what commits came to since the farm's start, of all writers together.

        From any thread; in any but the main one it raises ValueError in the moment in which the writer is replaced.
        """
        return self._commits_before.plus(self.writer.commits())

    def acks(self) -> list[tuple[int, array[int]]]:
        """Return all acks that have come in since the last call, as Writer.acks()."""
        left, self._acks_left = self._acks_left, []
        return left + self.writer.acks()

    def adopt(self, config: Config) -> None:
        """Have the writer go on by another configuration, and subworkers be forked by a new zygote: that has no code loaded yet.

        Raises OSError, and then nothing has changed.
        """
        former, self.zygote = self.zygote, self._children.make_zygote(config)
        self._config = config
        self._former.append(former)
        self._watch(self.zygote)
        self._children.tell_writer(self.writer, config)

    def step(self) -> None:
        """Let zygotes go whose forks are all born; those that are not within some seconds are given up by the crew."""
        if not self._former:
            return
        unborn = {generation.name for generation in self._crew.generations if not generation.pid and generation.phase is not Phase.DEAD}
        for zygote in list(self._former):
            if zygote.expected.isdisjoint(unborn):
                self._former.remove(zygote)
                self._leave(zygote)

    def hear_births(self) -> None:
        """Learn of all births that were told: before any child is reaped, while its number is still its own."""
        for zygote in (*self._former, self.zygote):
            self._crew.hear_births(zygote)

    def note_death(self, pid: int, status: int) -> bool:
        """Replace the one that ended; False if it is none of these."""
        if pid == self.writer.pid:
            self._replace_writer(status)
        elif pid == self.zygote.pid:
            self._replace_zygote(status)
        else:
            return self._bury_former(pid)
        return True

    def leave(self) -> None:
        """Let all of them end: everything is committed, or has to wait for the next start."""
        self.writer.leave()
        for zygote in (*self._former, self.zygote):
            zygote.close()

    def _replace_writer(self, status: int) -> None:
        """A new writer reads the same rings from their tails: nothing published is lost, and the fence drops what was committed."""
        code = os.waitstatus_to_exitcode(status)
        log.error("the writer ended (status %d): a new one takes over its rings", code, extra=event(Event.WRITER_ENDED, status=code))
        self._note_quick_end("writer", self.writer.born_at, status)
        self._acks_left += self.writer.acks()
        before = self.commits()
        self.writer.close()
        # Both at once: another thread adds them up.
        self._commits_before, self.writer = before, self._children.make_writer(self._config)
        self._crew.attach_all(self.writer)

    def _replace_zygote(self, status: int) -> None:
        code = os.waitstatus_to_exitcode(status)
        log.error("the zygote ended (status %d): a new one is made", code, extra=event(Event.ZYGOTE_ENDED, status=code))
        self._note_quick_end("zygote", self.zygote.born_at, status)
        self.zygote.hush()
        self._crew.hear_births(self.zygote)
        self._crew.give_up_unborn(time.monotonic(), all_of_them=True)
        self._leave(self.zygote)
        self.zygote = self._children.make_zygote(self._config)
        self._watch(self.zygote)

    def _bury_former(self, pid: int) -> bool:
        """Let go of a replaced zygote that ended before it had forked all; the crew gives those up that are not born, after a while."""
        former = next((zygote for zygote in self._former if zygote.pid == pid), None)
        if former is None:
            return False
        self._crew.hear_births(former)
        self._former.remove(former)
        # Watched on, what its socket tells, that it is closed, would keep the loop awake.
        self._leave(former)
        return True

    def _note_quick_end(self, name: str, born_at: float, status: int) -> None:
        """Give up when a process that the farm cannot be without leaves again and again as soon as it is started. Kills don't count."""
        quick = os.WIFEXITED(status) and time.monotonic() - born_at < QUICK_S
        self._quick_ends = self._quick_ends + 1 if quick else 0
        if self._quick_ends == QUICK_ENDS_MAX:
            gave_up = event(Event.GAVE_UP, process=name)
            log.error("the %s ends as soon as it is started; its last words are above. The farm gives up", name, extra=gave_up)
            self.failed = name

    def _watch(self, zygote: Zygote) -> None:
        self._loop.watch(zygote.control.fileno(), lambda: self._crew.hear_births(zygote))

    def _leave(self, zygote: Zygote) -> None:
        self._loop.unwatch(zygote.control.fileno())
        zygote.close()
