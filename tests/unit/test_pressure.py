"""When a host is short of memory, by readings that are made up, and what the meter reads in files that are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.config.model import Host
from farm.config.model import Lane as LaneConfig
from farm.supervisor.lanes.lane import SHORT_OF_MEMORY, Lane
from farm.supervisor.lanes.witness import Witness
from farm.supervisor.limits.pressure import EASE, QUIET_S, Level, Meter, Pressure, Reading
from farm.supervisor.limits.throttle import IDLE_LOOK_S, LOOK_S, Throttle, claiming_on

MB = 1_000_000
FLOOR = 500 * MB
PRESSURE = 20.0

readings = st.lists(
    st.tuples(
        st.floats(0.02, 3),
        st.sampled_from((0, 240, 260, 400, 499, 501, 620, 630, 5000)),
        st.floats(0, 100),
        st.floats(0, 1),
    ),
    max_size=60,
)
"""(seconds since the last one, MB available, mean of the stalls, share of the time since then that was stalled)."""


def played(steps: Sequence[tuple[float, int, float, float]]) -> Iterator[tuple[float, Reading]]:
    now, stalled_us = 100.0, 0.0
    for pause_s, megabytes, mean, share in steps:
        now += pause_s
        stalled_us += pause_s * share * 1e6
        yield now, Reading(megabytes * MB, mean, int(stalled_us))


@given(readings)
def test_it_begins_at_once_and_never_flaps(steps: Sequence[tuple[float, int, float, float]]) -> None:
    """Too little is told by the reading that shows it; a lower level holds only after a time in which nothing was near the higher."""
    rule = Pressure(floor_bytes=FLOOR, stalled_percent_max=PRESSURE)
    before, worse_at, near_at = Level.ENOUGH, float("-inf"), float("-inf")
    for now, reading in played(steps):
        level = rule.step(now, reading)
        least = Level.VERY_SHORT if reading.available_bytes < FLOOR / 2 else Level(reading.available_bytes < FLOOR)
        assert level >= least
        if level < before:
            assert now - max(worse_at, near_at) >= QUIET_S
        if level > before:
            worse_at = now
        if level and reading.available_bytes < EASE * FLOOR / (2 if level is Level.VERY_SHORT else 1):
            near_at = now
        before = level


@given(readings)
def test_it_ends_by_itself(steps: Sequence[tuple[float, int, float, float]]) -> None:
    """Whatever was before: twice the quiet time with plenty of memory, and a host has enough, though the mean of its stalls still lags."""
    rule = Pressure(floor_bytes=FLOOR, stalled_percent_max=PRESSURE)
    now, stalled_us = 100.0, 0
    for now, reading in played(steps):
        rule.step(now, reading)
        stalled_us = reading.stalled_us
    for _ in range(20):
        now += QUIET_S / 8
        rule.step(now, Reading(5000 * MB, 90.0, stalled_us))
    assert rule.level is Level.ENOUGH


@given(readings)
def test_what_is_switched_off_does_not_count(steps: Sequence[tuple[float, int, float, float]]) -> None:
    rule = Pressure(floor_bytes=0, stalled_percent_max=0)
    assert not any(rule.step(now, reading) for now, reading in played(steps))


def test_stalls_alone() -> None:
    """A mean above the limit counts only while the stalls go on, and is over when they are."""
    rule = Pressure(floor_bytes=FLOOR, stalled_percent_max=PRESSURE)
    assert rule.step(1.0, Reading(5000 * MB, 5.0, 0)) is Level.ENOUGH
    assert rule.step(2.0, Reading(5000 * MB, 25.0, 0)) is Level.ENOUGH, "the mean lags"
    assert rule.step(3.0, Reading(5000 * MB, 25.0, 300_000)) is Level.SHORT
    assert rule.step(4.0, Reading(5000 * MB, 24.0, 420_000)) is Level.SHORT
    assert [rule.step(now, Reading(5000 * MB, 24.0, 420_000)) for now in (5.0, 6.0, 7.0)] == [Level.SHORT, Level.SHORT, Level.ENOUGH]


def lane(name: str, subworkers: int, megabytes: int) -> Lane:
    config = LaneConfig(name=name, queues=("*",), subworkers=subworkers, concurrency=1, memory_bytes=megabytes * MB)
    return Lane(config, claim_max=100, witness=Witness(hurry=lambda: None, wake=lambda: None))


def test_small_lanes_claim_on() -> None:
    """The smallest, as far as they fit into half of the floor together."""
    lanes = [lane("default", 2, 512), lane("fast", 1, 150), lane("tiny", 1, 100), lane("other", 1, 200)]
    assert claiming_on(lanes, FLOOR, Level.ENOUGH) == {"default", "fast", "tiny", "other"}
    assert claiming_on(lanes, FLOOR, Level.SHORT) == {"tiny", "fast"}
    assert claiming_on(lanes, FLOOR, Level.VERY_SHORT) == set()


class PlayedMeter(Meter):
    """Says what it is told to say."""

    def __init__(self) -> None:
        self.megabytes = 5000
        self.looks = 0

    def read(self) -> Reading:
        self.looks += 1
        return Reading(self.megabytes * MB, 0.0, 0)


def test_a_throttle_holds_and_lets_go(caplog: pytest.LogCaptureFixture) -> None:
    """One line when it begins and one when it ends, both with figures; an idle farm is not woken for a look, a short one is."""
    caplog.set_level("INFO")
    lanes, meter = [lane("default", 2, 512), lane("fast", 1, 200)], PlayedMeter()
    host = Host(name="test", memory_bytes=16_000 * MB, memory_floor_bytes=FLOOR, pressure_percent=PRESSURE)
    throttle = Throttle(lanes=lambda: lanes, host=host, meter=meter)
    assert throttle.step(1.0, busy=False) == float("inf")
    assert throttle.step(1.1, busy=False) == float("inf")
    assert meter.looks == 1
    assert throttle.step(1.2, busy=True) == LOOK_S
    meter.megabytes = 420
    assert throttle.step(1.2 + IDLE_LOOK_S, busy=False) == LOOK_S
    assert [each.held_by for each in lanes] == [{SHORT_OF_MEMORY}, frozenset()]
    lanes.append(lane("new", 1, 1000))
    throttle.step(4.0, busy=False)
    assert lanes[2].held_by == {SHORT_OF_MEMORY}
    meter.megabytes = 900
    for now in (5.0, 6.0, 7.1):
        throttle.step(now, busy=False)
    assert not any(each.held_by for each in lanes)
    assert caplog.messages == [
        "the host is short of memory: 420 MB available, and host.memory_floor is 500 MB: nothing is claimed for default",
        "enough memory again, 900 MB available: claims go on, after 3.9s",
    ]
    throttle.heed(Host(name="test", memory_bytes=16_000 * MB))
    looks = meter.looks
    throttle.step(20.0, busy=True)
    assert meter.looks == looks, "nothing is to be looked at"


def written(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


PSI = "some avg10=12.50 avg60=1.00 avg300=0.00 total=4711\nfull avg10=1.00 avg60=0.00 avg300=0.00 total=11\n"


def test_the_meter_reads_the_machine(tmp_path: Path) -> None:
    root = written(tmp_path, proc__meminfo="MemTotal: 2000 kB\nMemAvailable:    1000 kB\n", proc__pressure__memory=PSI)
    assert Meter(root).read() == Reading(1_024_000, 12.5, 4711)
    assert Meter(tmp_path / "nothing").read() == Reading(1 << 60, 0.0, 0)


def test_the_meter_reads_control_groups(tmp_path: Path) -> None:
    """The tightest limit counts; files that are only cached do not count as used. Stalls are those of our own group."""
    root = written(tmp_path, proc__meminfo="MemAvailable: 9000 kB\n", proc__self__cgroup="0::/app/farm\n", proc__pressure__memory=PSI)
    top, inner = tmp_path / "sys/fs/cgroup/app", tmp_path / "sys/fs/cgroup/app/farm"
    inner.mkdir(parents=True)
    for group, limit, used, cached in ((top, "6000000", "5000000", 300_000), (inner, "max", "4000000", 0)):
        (group / "memory.max").write_text(limit + "\n")
        (group / "memory.current").write_text(used + "\n")
        (group / "memory.stat").write_text(f"anon 1\nactive_file 0\ninactive_file {cached}\n")
    (inner / "memory.pressure").write_text(PSI.replace("12.50", "3.00"))
    assert Meter(root).read() == Reading(1_300_000, 3.0, 4711)


def test_the_meter_reads_control_groups_of_version_1(tmp_path: Path) -> None:
    root = written(tmp_path, proc__meminfo="MemAvailable: 9000 kB\n", proc__self__cgroup="4:memory:/app\n")
    group = tmp_path / "sys/fs/cgroup/memory/app"
    group.mkdir(parents=True)
    (group / "memory.limit_in_bytes").write_text("6000000\n")
    (group / "memory.usage_in_bytes").write_text("5500000\n")
    (group / "memory.stat").write_text("inactive_file 7\ntotal_inactive_file 200000\ntotal_active_file 100000\n")
    assert Meter(root).read().available_bytes == 800_000
    # Lowered below what is used, the limit leaves nothing.
    (group / "memory.limit_in_bytes").write_text("5000000\n")
    assert Meter(root).read().available_bytes == 0


def test_what_was_taken_is_waited_for() -> None:
    """After a job was ended for want of memory there is enough when it would have room again, or after a minute."""
    for megabytes, ends_at in ((1300, 2.0), (1100, 61.0)):
        rule = Pressure(floor_bytes=FLOOR, stalled_percent_max=0)
        assert rule.step(0.0, Reading(100 * MB, 0.0, 0)) is Level.VERY_SHORT
        rule.owe(600 * MB, 0.0)
        looks = [rule.step(now / 2, Reading(megabytes * MB, 0.0, 0)) for now in range(1, 140)]
        assert (looks.index(Level.ENOUGH) + 1) / 2 - 0.5 == pytest.approx(ends_at, abs=2.0)
        assert rule.step(100.0, Reading(400 * MB, 0.0, 0)) is Level.SHORT
        rule.step(101.0, Reading(700 * MB, 0.0, 0))
        assert rule.step(103.5, Reading(700 * MB, 0.0, 0)) is Level.ENOUGH, "it was owed only once"
