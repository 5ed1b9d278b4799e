"""How the lanes of this host do, as its heartbeat tells it: gathered from what other threads replace as a whole, without a lock."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from farm.headway import printable
from farm.supervisor.lanes.lane import Lane
from farm.supervisor.lanes.occupancy import Occupancy
from farm.supervisor.processes.generation import Phase

WINDOWS_S = (("busy", 10), ("busy_60s", 60))
Span = tuple[int, int]
"""The first and the last position, from 1."""
SHORTAGE_CHARS_MAX = 200
"""The row is rewritten every second, and may hold the error of a user's own function."""


class LaneStates:
    """Of the heartbeat's thread.

    A lane is told of as: serving, of (subworkers that take jobs, and how many there should be), leaving (those that end what they run and
    take no more; left out if there are none), busy, busy_60s (percent of its slots'
    time over the last 10 and 60 s; left out while none has served), buffered (jobs that it has claimed and not started), running (the
    first and the last position that its jobs have among all that run on this host, from 1; left out if it runs none), held_by (why it
    claims nothing; left out if it does), missing (why a subworker or the spare one is; left out if none is).
    """

    def __init__(self, *, lanes: Callable[[], Sequence[Lane]], shortage: Callable[[str], str]) -> None:
        """lanes: those of now. shortage: says why a lane, by its name, is short of subworkers or of a spare one, "" if it is not."""
        self._lanes = lanes
        self._shortage = shortage
        self._occupancies: dict[str, Occupancy] = {}

    def look(self, now_ns: int, running: Mapping[str, Span]) -> str:
        """Return how every lane does, as a JSON object; now_ns is CLOCK_MONOTONIC. To be called once a beat: it measures.

        running: where the jobs of each lane stand in what the beat says of running ones.
        """
        lanes = self._lanes()
        self._occupancies = {lane.name: self._occupancies.get(lane.name) or Occupancy() for lane in lanes}
        return json.dumps({lane.name: self._state(lane, now_ns, running.get(lane.name)) for lane in lanes}, separators=(",", ":"))

    def _state(self, lane: Lane, now_ns: int, running: Span | None) -> dict[str, Any]:
        serving = [generation for generation in lane.generations if generation.phase is Phase.SERVING and not generation.leaving]
        times = {generation.name: time for generation in serving if (time := generation.file.slot_time(now_ns)) is not None}
        occupancy = self._occupancies[lane.name]
        occupancy.note(now_ns, times)
        state: dict[str, Any] = {"serving": len(serving), "of": lane.config.subworkers}
        if leaving := sum(generation.phase is Phase.SERVING and generation.leaving for generation in lane.generations):
            state["leaving"] = leaving
        for name, window_s in WINDOWS_S:
            if (percent := occupancy.percent(window_s)) is not None:
                state[name] = percent
        state["buffered"] = max(0, lane.buffered)
        if running is not None:
            state["running"] = running
        if held_by := lane.held_by:
            state["held_by"] = sorted(held_by)
        if missing := self._shortage(lane.name):
            state["missing"] = printable(missing[:SHORTAGE_CHARS_MAX])
        return state
