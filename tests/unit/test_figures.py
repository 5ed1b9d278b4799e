"""What the parts of a supervisor count."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from farm.model import OutcomeKind
from farm.subworker.limits import LEAVES_FULL
from farm.supervisor.counts.figures import BeatFigures, ClaimFigures, Reason, RestartFigures, reason_of
from farm.supervisor.processes.generation import ALL_THAT_RUN, Doom, Generation
from tests.unit.played import Actor


@pytest.fixture
def generation(tmp_path: Path) -> Generation:
    return Actor(tmp_path / "w0.1", 1, "fast", 1).generation


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (OutcomeKind.TIMED_OUT, Reason.TIMEOUT),
        (OutcomeKind.MEMORY, Reason.MEMORY),
        (OutcomeKind.CANCELLED, Reason.CANCELLED),
        (OutcomeKind.CRASHED, Reason.CRASHED),
        (OutcomeKind.STOPPED, None),
    ],
)
def test_who_was_ended_for_a_job_has_the_reason_of_that_job(generation: Generation, kind: OutcomeKind, reason: Reason | None) -> None:
    generation.doom = Doom(kind, "so it was", ALL_THAT_RUN)
    assert reason_of(generation, served=True, told_to_end=True) is reason


def test_who_ends_by_itself_has_crashed_unless_it_left_for_its_memory(generation: Generation) -> None:
    generation.die(signal.SIGKILL)
    assert reason_of(generation, served=True, told_to_end=False) is Reason.CRASHED
    generation.killed_by_kernel = True
    assert reason_of(generation, served=True, told_to_end=False) is Reason.MEMORY
    generation.killed_by_kernel = False
    generation.die(LEAVES_FULL << 8)
    assert reason_of(generation, served=True, told_to_end=False) is Reason.MEMORY


def test_who_was_replaced_while_it_lived_is_not_counted_at_its_end(generation: Generation) -> None:
    generation.leaving = True
    assert reason_of(generation, served=True, told_to_end=True) is None
    generation.leaving = False
    assert reason_of(generation, served=True, told_to_end=True) is Reason.RETIRED


def test_who_never_served_could_not_be_set_up_unless_it_was_not_wanted_any_more(generation: Generation) -> None:
    assert reason_of(generation, served=False, told_to_end=False) is Reason.SETUP
    assert reason_of(generation, served=False, told_to_end=True) is None
    generation.missed_why = "its setup has not ended after 60 s"
    assert reason_of(generation, served=False, told_to_end=True) is Reason.SETUP


def test_claims_are_counted_by_lane_with_those_that_brought_nothing() -> None:
    figures = ClaimFigures()
    figures.note("fast", 100, 0.002)
    figures.note("fast", 0, 0.001)
    figures.note("slow", 3, 0.1)
    assert (figures.times.count, figures.sizes.count, figures.sizes.total) == (3, 2, 103)
    fast = figures.by_lane["fast"]
    assert (fast.claims, fast.jobs, fast.empty) == (2, 100, 1)
    figures.keep(frozenset({"slow"}))
    assert list(figures.by_lane) == ["slow"]


def test_restarts_are_forgotten_with_their_lane() -> None:
    figures = RestartFigures()
    for lane in ("fast", "fast", "slow"):
        figures.note(lane, Reason.CRASHED)
    assert figures.by_lane == {("fast", Reason.CRASHED): 2, ("slow", Reason.CRASHED): 1}
    figures.forget("fast")
    assert figures.by_lane == {("slow", Reason.CRASHED): 1}


def test_an_outage_lasts_until_the_next_good_beat() -> None:
    figures = BeatFigures()
    figures.note_away(10.0)
    figures.note_away(11.0)
    assert (figures.outages, figures.outage_s(14.0), figures.away_since) == (1, 4.0, 10.0)
    figures.note_beat(0.001, 15.0)
    figures.note_away(20.0)
    assert (figures.outages, figures.outage_s(21.0), figures.beats, figures.last_s) == (2, 6.0, 1, 0.001)
