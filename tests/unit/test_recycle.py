"""When a subworker is due to be replaced, and which post goes when a lane gets fewer."""

from __future__ import annotations

from itertools import count
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from farm.config.model import Lane as LaneConfig
from farm.config.model import Recycle
from farm.supervisor.crew.posts import LanePosts
from farm.supervisor.crew.recycle import ASK_S, GROWN_S, JITTER, Growth, age_limit_s, why_due
from farm.supervisor.crew.recycling import in_turn
from farm.supervisor.processes.generation import Phase

MB = 1_000_000


def test_it_is_due_for_one_reason_or_none() -> None:
    both = Recycle(max_jobs=10, max_age_s=100.0)
    assert why_due(both, number=1, started=9, age_s=1.0) == ""
    assert why_due(both, number=1, started=10, age_s=1.0) == "after 10 jobs"
    assert why_due(both, number=1, started=0, age_s=100.0) == "at the age of 1m 40s"
    assert why_due(Recycle(), number=1, started=10**12, age_s=1e9) == "", "0 is never"


@given(st.integers(1, 0xFFFF), st.floats(1, 1e6))
def test_they_do_not_all_go_at_once(number: int, max_age_s: float) -> None:
    """Each before its time, by a tenth at the most, and its neighbour at another moment."""
    recycle = Recycle(max_age_s=max_age_s)
    limit = age_limit_s(recycle, number)
    assert max_age_s * (1 - JITTER) <= limit <= max_age_s
    assert abs(limit - age_limit_s(recycle, number + 1)) > max_age_s * JITTER / 4


@given(st.lists(st.integers(0, 1000), min_size=1), st.integers(1, 500), st.booleans())
def test_growth_is_what_lasts(sizes: list[int], limit: int, single: bool) -> None:
    """It is suspected only while the last look found too much; of many jobs in flight only if all looks of GROWN_S did."""
    recycle, growth = Recycle(rss_growth_bytes=limit * MB), Growth(floor_bytes=0)
    for now, size in enumerate(sizes):
        assert growth.note(recycle, size * MB, now * GROWN_S) == (size > limit)
        lasted = size > limit and (single or (now > 0 and sizes[now - 1] > limit))
        assert growth.suspect(now * GROWN_S, single=single) == lasted


def test_the_first_growth_is_forgiven_where_there_is_room_for_another() -> None:
    recycle, growth = Recycle(rss_growth_bytes=100 * MB), Growth(floor_bytes=50 * MB)
    assert growth.note(recycle, 151 * MB, 1.0)
    growth.asked_at = 1.0
    assert not growth.suspect(1.0 + ASK_S / 2, single=True), "one that was just measured is left alone for a while"
    assert not growth.forgive(recycle, 399 * MB), "it would meet its limit before it has grown twice"
    assert growth.forgive(recycle, 400 * MB)
    assert not growth.note(recycle, 251 * MB, 1.1)
    assert growth.note(recycle, 252 * MB, 1.2)
    assert growth.suspect(1.2, single=True)
    assert not growth.forgive(recycle, 400 * MB), "only once"
    assert growth.why == "grown by 101 MB"


def test_the_least_busy_posts_go_first() -> None:
    """Empty ones, then those that are not set up, then those that run the least. New ones have numbers that nobody had."""
    lane: Any = SimpleNamespace(name="cpu", config=LaneConfig(name="cpu", queues=("*",), subworkers=4, concurrency=1, memory_bytes=1))
    posts = LanePosts(lane, count())
    busy, idle, unready = (
        SimpleNamespace(phase=phase, occupied=occupied, handed={})
        for phase, occupied in ((Phase.SERVING, 1), (Phase.SERVING, 0), (Phase.BORN, 0))
    )
    for post, generation in zip(posts.posts, (busy, idle, unready, None), strict=True):
        post.generation = generation  # type: ignore[assignment]
    assert posts.resize(2) == [unready]
    assert posts.resize(1) == [idle]
    assert posts.resize(3) == []
    assert [post.index for post in posts.posts] == [0, 4, 5]
    assert posts.present == 1
    assert posts.shortage.full == 3


def test_who_is_replaced_first_when_all_are_to_be() -> None:
    """Whoever runs nothing, then who has begun last: nobody waits for a long job who need not. Others keep their order."""

    def holder(*started_ns: int, why: str = "the configuration was read again") -> Any:
        running = [SimpleNamespace(started_ns=started) for started in started_ns]
        return SimpleNamespace(replace_why=why, running=lambda: running)

    long, idle, short, many, stays = holder(10), holder(), holder(90), holder(95, 50), holder(99, why="")
    assert in_turn([long, idle, short, many]) == [idle, short, many, long]
    assert in_turn([stays, long, idle]) == [idle, long, stays]
    assert in_turn([stays, long]) == [stays, long]
