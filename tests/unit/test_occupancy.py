"""How busy a lane was is told rightly, whoever served in it for how long, and without a word from a subworker that is stuck."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from farm.shm.generation import GenerationFile
from farm.shm.slottime import SlotClock, SlotTime, read_slot_time
from farm.supervisor.lanes.occupancy import Occupancy

S = 1_000_000_000


def test_the_time_of_slots_is_known_up_to_this_moment(tmp_path: Path) -> None:
    """Though its subworker says nothing while a job keeps it."""
    file = GenerationFile.create(tmp_path / "w0.1", slots=3, host_id=1)
    assert file.slot_time(5 * S) is None, "it does not serve yet"
    clock = SlotClock(file.words)
    clock.begin(10 * S)
    assert file.slot_time(11 * S) == (0, 3, 10 * S)
    clock.note(2, 12 * S)
    assert file.slot_time(15 * S) == (6 * S, 3, 10 * S)
    clock.note(3, 20 * S)
    clock.note(0, 21 * S)
    assert file.slot_time(99 * S) == (19 * S, 3, 10 * S)
    del clock
    file.close()


def test_a_torn_time_is_none() -> None:
    words = memoryview(bytearray(4096)).cast("Q")
    SlotClock(words).begin(1)
    for version in (words[176] + 1, 0):
        words[176] = version
        assert read_slot_time(words, 1, 2) is None


@given(
    busy=st.lists(st.lists(st.integers(0, S), min_size=1, max_size=4), min_size=1, max_size=90),
    window_s=st.sampled_from((1, 10, 60)),
)
def test_it_is_the_share_over_the_last_seconds(busy: list[list[int]], window_s: int) -> None:
    """Each second some subworkers with one slot each were busy for so long. A subworker that comes or goes in between changes nothing."""
    occupancy, sums = Occupancy(), [0, 0, 0, 0]
    occupancy.note(100 * S, {str(number): SlotTime(0, 1, 50 * S) for number in range(4)})
    for second, of_all in enumerate(busy, 101):
        for number, busy_ns in enumerate(of_all):
            sums[number] += busy_ns
        occupancy.note(second * S, {str(number): SlotTime(sums[number], 1, 50 * S) for number in range(len(of_all))})
        for number in range(len(of_all), 4):
            # The next one of that number is another subworker, which begins to serve at the next look.
            sums[number] = 0
    recent = _recent(busy, window_s)
    assert occupancy.percent(window_s) == round(100 * sum(map(sum, recent)) / (S * sum(map(len, recent))))


def _recent(busy: list[list[int]], window_s: int) -> list[list[int]]:
    return busy[-window_s:]


def test_one_that_is_new_counts_from_when_it_began_to_serve() -> None:
    occupancy = Occupancy()
    occupancy.note(10 * S, {})
    assert occupancy.percent(10) is None
    occupancy.note(11 * S, {"w0.1": SlotTime(S // 10, 1, 11 * S - S // 5)})
    assert occupancy.percent(10) == 50


def test_one_that_is_gone_is_neither_busy_nor_there() -> None:
    occupancy = Occupancy()
    occupancy.note(10 * S, {"w0.1": SlotTime(5 * S, 2, 3 * S)})
    occupancy.note(11 * S, {"w0.1": SlotTime(6 * S, 2, 3 * S)})
    occupancy.note(12 * S, {"w0.2": SlotTime(0, 2, 12 * S)})
    assert occupancy.percent(10) == 50
    occupancy.note(80 * S, {})
    assert occupancy.percent(60) is None


def test_looks_that_follow_closely_take_no_more_room() -> None:
    """A heartbeat may be set to a few milliseconds."""
    occupancy = Occupancy()
    for look in range(1, 20_000):
        occupancy.note(100 * S + look * S // 100, {"w0.1": SlotTime(look * S // 200, 1, 50 * S)})
    assert len(occupancy._buckets) <= 62
    assert occupancy.percent(10) == 50
