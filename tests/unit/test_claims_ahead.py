"""How far ahead a lane claims: against subworkers that are played, and a claim thread that answers at once."""

from __future__ import annotations

import pytest

from farm.supervisor.lanes.lane import CLAIM_AHEAD_S, CLAIMED_MIN, HOARD_S
from tests.unit.played import Stage, lane_config, staged

LOOK_S = 0.25
"""How often the claim thread looks at demand when nobody wakes it."""


def work(stage: Stage, length_s: float, until: float) -> tuple[int, int]:
    """Have all the jobs there could ever be, each so long; returns the number of claims and the most that was buffered at their ends."""
    claims = most = 0
    look_at = stage.now
    while stage.now < until:
        if stage.lane.wants_more() or stage.now >= look_at:
            look_at = stage.now + LOOK_S
            if demand := stage.lane.demand(stage.now):
                stage.arrive([length_s] * demand)
                claims += 1
        if not stage.turn(look_at):
            stage.now = look_at
            stage.wake()
        most = max(most, stage.lane.buffered)
    return claims, most


@pytest.mark.parametrize(("length_s", "slots"), [(0.002, 1), (0.01, 2), (0.1, 4), (1.0, 4), (5.0, 1)])
def test_about_two_refills_ahead_and_never_more_than_two_seconds(length_s: float, slots: int) -> None:
    """At any length of jobs; and no more claims than four a second and one for each job of those that are long."""
    with staged(lane_config(subworkers=2, slots=slots)) as stage:
        work(stage, length_s, stage.now + 3)
        begun, ended = stage.now, stage.now + 5
        started = stage.lane.started
        claims, most = work(stage, length_s, ended)
        rate = 2 * slots / length_s
        assert most <= max(CLAIMED_MIN, HOARD_S * rate) + 2 * slots
        assert claims <= 3 * (stage.now - begun) / CLAIM_AHEAD_S + (stage.lane.started - started)
        assert stage.lane.started - started >= 0.9 * rate * (stage.now - begun) - 2 * slots


def test_what_turns_out_to_be_too_much_goes_back() -> None:
    """Quick jobs have made the buffers deep, and then come slow ones: after two seconds those go back that would wait for longer."""
    with staged(lane_config(subworkers=2)) as stage:
        work(stage, 0.0005, stage.now + 1.5)
        while stage.turn():
            pass
        stage.arrive([1.0] * 400)
        begun = stage.now
        while stage.now < begun + 6:
            stage.lane.demand(stage.now)
            stage.wake()
            until = stage.now + LOOK_S
            while stage.turn(until):
                pass
            stage.now = until
        assert len(stage.given_back) > 300
        assert stage.lane.waiting <= 2 * HOARD_S * 2
        assert stage.lane.excess == 0
