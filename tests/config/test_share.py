"""Memory that nobody asked for by number is shared out so that it fits; numbers are taken as they are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from farm.config.share import AUTO_BYTES_MAX, AUTO_BYTES_MIN, HOST_SHARE_PERCENT, LaneDemand, share_memory

MB = 1_000_000


def demand(subworkers: int, memory_bytes: int | None = None, *, auto: bool = True, name: str = "a") -> LaneDemand:
    return LaneDemand(name=name, subworkers=subworkers, may_have_fewer=auto, memory_bytes=memory_bytes)


def test_there_is_512_mb_for_each_where_the_host_has_plenty() -> None:
    assert share_memory([demand(4)], 64_000 * MB).lanes == [(4, 512 * MB)]


def test_a_small_host_is_shared_evenly_with_one_share_for_a_spare() -> None:
    assert share_memory([demand(3)], 2000 * MB).lanes == [(3, 400 * MB)]


def test_below_128_mb_each_there_are_fewer_subworkers_but_never_none() -> None:
    assert share_memory([demand(8)], 1000 * MB).lanes == [(5, 800 * MB // 6)]
    assert share_memory([demand(8), demand(2, name="b")], 100 * MB).lanes == [(1, 128 * MB), (1, 128 * MB)]


def test_subworkers_given_by_number_stay_and_the_others_become_fewer() -> None:
    assert share_memory([demand(6, auto=False), demand(6, name="b")], 1280 * MB).lanes == [(6, 128 * MB), (1, 128 * MB)]


def test_what_is_asked_for_is_given_and_added_up() -> None:
    shares = share_memory([demand(2, 300 * MB), demand(1, 500 * MB, name="b"), demand(4, name="c")], 4000 * MB)
    assert shares.lanes[:2] == [(2, 300 * MB), (1, 500 * MB)]
    assert shares.asked_bytes == (3 * 300 + 2 * 500) * MB
    assert shares.arithmetic == "3 x 300 MB (a) + 2 x 500 MB (b), with a spare subworker in each lane = 1.9 GB"
    assert shares.lanes[2] == (4, (3200 - 1900) * MB // 5)


@given(
    st.lists(st.tuples(st.integers(1, 64), st.booleans(), st.none() | st.integers(MB, 4000 * MB)), min_size=1, max_size=6),
    st.integers(10 * MB, 10**12),
)
def test_automatic_figures_fit_or_are_as_small_as_they_can_be(lanes: list[tuple[int, bool, int | None]], host_bytes: int) -> None:
    demands = [demand(subworkers, memory, auto=auto, name=str(index)) for index, (subworkers, auto, memory) in enumerate(lanes)]
    shares = share_memory(demands, host_bytes)
    automatic = [(given, asked) for given, asked in zip(shares.lanes, demands, strict=True) if asked.memory_bytes is None]
    for (count, memory), asked in automatic:
        assert AUTO_BYTES_MIN <= memory <= AUTO_BYTES_MAX
        assert 1 <= count <= asked.subworkers
        assert count == asked.subworkers or asked.may_have_fewer
    total = shares.asked_bytes + sum(count * memory for (count, memory), _ in automatic)
    smallest = all(memory == AUTO_BYTES_MIN and (count == 1 or not asked.may_have_fewer) for (count, memory), asked in automatic)
    assert smallest or total <= host_bytes * HOST_SHARE_PERCENT // 100
