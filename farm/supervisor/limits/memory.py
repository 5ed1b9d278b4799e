"""Ends subworkers whose jobs take more memory than they may, with all that they have started: what no limit of one process catches.

A limit on one process (RLIMIT_DATA, farm/subworker/limits.py) stops nearly every job before that, and lets its subworker live. It
does not count what is shared, and each program that a job starts has one of its own. So the supervisor looks at the whole tree: often at
a figure that costs next to nothing and is never too small, and only if that is over the limit at exact ones.
"""

from __future__ import annotations

import os
import time
from collections.abc import Container, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from farm.cgroups import Group
from farm.model import OutcomeKind
from farm.supervisor.crew.bounds import Bounds, bounds_of
from farm.supervisor.crew.crew import Crew
from farm.supervisor.lanes.lane import Lane
from farm.supervisor.processes.footprint import children_of, exact_bytes, held_bytes, resident_bytes, shared_bytes, tree_of
from farm.supervisor.processes.generation import NONE_OF_THEM, Doom, Generation, Phase
from farm.units import format_size

LOOK_S = 0.1
NEAR_SHARE, NEAR_LOOK_S = 0.8, 0.02
"""Near its limit a subworker is looked at more often: in a tenth of a second it may take half a gigabyte."""
FILES_S = 1.0
"""Between two looks at what a subworker's group holds of files in shared memory."""
FILES_BYTES_MIN = 8_000_000
"""Less than this, left by earlier jobs, is hardly in the way of the next one."""
EXACT_S = 1.0
"""Between two exact looks at one subworker that had turned out to hold less: its pages are walked for them."""
RELIEF_S = 2.0
"""Between two that are ended for want of memory on the host: the memory of the first is to be given back before it is looked at again."""
RELIEF_BYTES_MIN = 32_000_000
"""Who holds less is not ended for it: the host would have no more memory than before."""


class Holder(NamedTuple):
    """One that was measured."""

    generation: Generation
    lane: Lane
    taken_bytes: int
    own_bytes: int
    """Without what it held before its first job."""
    ran: set[int]
    """The sequences of the jobs that ran when it was measured."""


class MemoryWatch:
    """Looks at busy subworkers, ten times a second, oftener near the limit; an idle farm is not woken by it."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._bounds: dict[int, Bounds] = {}
        self._look_at = 0.0
        self._relief_at = 0.0

    def step(self, now: float) -> float:
        """Look, if it is time; returns the seconds until the next look, infinite while nothing is handed out."""
        busy = [generation for generation in self._crew.astir if generation.phase is Phase.SERVING and generation.handed]
        if not busy:
            return float("inf")
        if now >= self._look_at:
            before, self._bounds = self._bounds, {}
            orphans = _orphans(self._crew.generations)
            any_near = False
            for generation in busy:
                if generation.pid:
                    bounds = self._bounds[generation.number] = before.get(generation.number) or self._bounds_of(generation)
                    if generation.file.slots.any_running():
                        any_near |= self._look(generation, bounds, orphans.get(generation.pid, ()), now)
            # A job may have thousands of programs: to look at them takes a twentieth of this thread's time at the most.
            self._look_at = now + max(NEAR_LOOK_S if any_near else LOOK_S, 20 * (time.monotonic() - now))
        return self._look_at - now

    def relieve(self, now: float) -> int:
        """End who holds most, since the host has next to nothing left: first of those that hold more than they were promised.

        Whoever holds no more than that has done nothing wrong: its jobs go back, and no attempt is used. Returns how many bytes were
        taken from it, 0 if nobody holds much, or the last one was ended just now.
        """
        if now < self._relief_at:
            return 0
        self._relief_at = now + RELIEF_S
        holders = self._holders()
        most = max(holders, key=lambda one: (one.own_bytes > one.generation.memory_bytes, one.own_bytes), default=None)
        if most is None or most.own_bytes < RELIEF_BYTES_MIN:
            return 0
        generation = most.generation
        if most.own_bytes > generation.memory_bytes:
            if not self._end(generation, most.lane, most.ran, most.taken_bytes, ", and the host is very short of memory"):
                # What it held was its job's, which has just ended.
                return 0
        else:
            generation.recall()
            held = f"its jobs held {format_size(most.own_bytes)} of their {format_size(generation.memory_bytes)}, more than others"
            why = f"the host is very short of memory: {held}, and are given back"
            generation.kill(Doom(OutcomeKind.MEMORY, why, NONE_OF_THEM))
        return most.own_bytes

    def _holders(self) -> list[Holder]:
        """Measure all that run something."""
        holders: list[Holder] = []
        orphans = _orphans(self._crew.generations)
        for generation in self._crew.astir:
            if generation.phase is Phase.SERVING and generation.pid and (ran := {slot.seq for slot in generation.running()}):
                bounds = self._bounds.get(generation.number) or self._bounds_of(generation)
                taken = sum(map(exact_bytes, tree_of(generation.pid, tuple(orphans.get(generation.pid, ())))))
                holders.append(Holder(generation, bounds.lane, taken, taken - bounds.baseline_bytes, ran))
        return holders

    def _bounds_of(self, generation: Generation) -> Bounds:
        return bounds_of(generation, next(lane for lane in self._crew.lanes if lane.name == generation.lane))

    def _look(self, generation: Generation, bounds: Bounds, strays: Sequence[int], now: float) -> bool:
        """Look at one; True if it is near its limit."""
        if generation.group is not None and self._judge_kills(generation, bounds):
            return True
        near_bytes = bounds.baseline_bytes + NEAR_SHARE * (bounds.limit_bytes - bounds.baseline_bytes)
        tree = tree_of(generation.pid, tuple(strays))
        if generation.group is not None and now >= bounds.files_at:
            bounds.files_at = now + FILES_S
            _allow_files(generation, generation.group, bounds, tree)
        if sum(map(resident_bytes, tree)) <= near_bytes or (held := sum(map(held_bytes, tree))) <= near_bytes:
            return False
        if held > bounds.limit_bytes and now >= bounds.exact_at:
            bounds.exact_at = now + EXACT_S
            ran = {slot.seq for slot in generation.running()}
            taken = sum(map(exact_bytes, tree))
            if taken > bounds.limit_bytes:
                others = len(tree) - 1
                self._end(generation, bounds.lane, ran, taken, f", with {others} more of its processes" if others else "")
        return True

    def _judge_kills(self, generation: Generation, bounds: Bounds) -> bool:
        """End one that lives on while the kernel has ended something that its job had started, for the limit of their control group.

        If another job has run since the last look, nobody knows whose it was: then what runs goes back, to run alone.
        """
        ran = {slot.seq for slot in generation.running()}
        suspects = bounds.may_be(generation, len(ran))
        group = generation.group
        if group is None or not group.new_kills() or not ran:
            return False
        how = " (one of its processes was ended by the kernel)"
        return self._end(generation, bounds.lane, ran, group.peak_bytes, how, beyond_doubt=suspects <= 1)

    def _end(self, generation: Generation, lane: Lane, ran: Container[int], taken: int, how: str, *, beyond_doubt: bool = True) -> bool:
        """Kill it at once: what has half a second more takes that much more. First a recall, so that this hits no later job than those
        that ran when it was measured; if none of them runs any more, the next look will tell. Returns whether it was killed.

        beyond_doubt: it was one of those that run.
        """
        generation.recall()
        running = [slot for slot in generation.running() if slot.seq in ran]
        message = f"memory limit of {generation.memory_bytes / 1e6:.0f} MB reached; peak {taken / 1e6:.0f} MB{how}"
        if len(running) == 1 and beyond_doubt:
            generation.kill(Doom(OutcomeKind.MEMORY, message, running[0].seq, peak_bytes=taken))
        elif running:
            lane.loners.know(slot.job_id for slot in running)
            whose = f"{len(running)} jobs beside each other: each" if len(running) > 1 else "this job or one before it: it"
            generation.kill(Doom(OutcomeKind.MEMORY, f"{message} by {whose} is to run alone", NONE_OF_THEM))
        return bool(running)


def _allow_files(generation: Generation, group: Group, bounds: Bounds, tree: Sequence[int]) -> None:
    """Have what earlier jobs have left in `/dev/shm` not count against later ones: their group's limit is so much higher.

    It is never lower again: the kernel would end somebody for that.
    """
    ran = frozenset(slot.seq for slot in generation.running())
    before, bounds.ran = bounds.ran, ran
    if ran.isdisjoint(before):
        allowed = bounds.group_bytes + group.shared_bytes - sum(map(shared_bytes, tree))
        if allowed >= group.limit_bytes + FILES_BYTES_MIN:
            with suppress(OSError):
                group.limit(allowed)


def _orphans(generations: Sequence[Generation]) -> Mapping[int, list[int]]:
    """Return, by the group that they are in, children of ours that some job has left behind."""
    leaders = {generation.pid for generation in generations}
    orphans: dict[int, list[int]] = {}
    for child in children_of(os.getpid()):
        if child not in leaders:
            try:
                group = os.getpgid(child)
            except ProcessLookupError:
                continue
            if group in leaders:
                orphans.setdefault(group, []).append(child)
    return orphans
