"""What is said of each queue: which lanes take from it, which of them take nothing now, and what nobody takes."""

from __future__ import annotations

from typing import Any

from farm.answers.queues import described
from tests.unit.test_why import host, lane


def depth(queue: str, **more: Any) -> dict[str, Any]:
    counts = {"ready": 0, "scheduled": 0, "retrying": 0, "later_at_least": False, "oldest_age_s": None}
    return {"queue": queue, "runners": ["python"], "memory_mb": [0], **counts, **more}


def test_queues_are_those_of_jobs_of_lanes_and_of_pauses() -> None:
    queues = described(
        [depth("old"), depth("mail")], [host(default=lane("mail", "*"), paused=("later",)), host(2, state="retired", a=lane("x"))]
    )
    assert [queue["queue"] for queue in queues] == ["later", "mail", "old"]
    assert all(queue["lanes"][0]["lane"] == "default" for queue in queues)
    assert [queue["paused_on"] for queue in queues] == [[1], [], []]


def test_a_lane_that_takes_nothing_of_a_queue_says_why() -> None:
    hosts = [host(a=lane("mail", held_by=["paused"]), b=lane("bills")), host(2, c=lane("mail"))]
    (bills, mail) = described([depth("mail", ready=3)], hosts)
    assert mail["lanes"] == [
        {"host": 1, "lane": "a", "kept": "lane a of host 1 is paused"},
        {"host": 2, "lane": "c", "kept": ""},
    ]
    assert bills["lanes"] == [{"host": 1, "lane": "b", "kept": ""}]


def test_what_no_lane_takes_is_told_of_queues_with_jobs_alone() -> None:
    depths = [depth("nowhere", scheduled=1), depth("empty"), depth("mail", ready=1, memory_mb=[0, 4000])]
    troubles = {queue["queue"]: queue["trouble"] for queue in described(depths, [host()])}
    assert troubles == {
        "empty": [],
        "mail": ["no lane that serves the queue mail has the 4 GB of memory that jobs in it declare"],
        "nowhere": ["no lane serves the queue nowhere"],
    }
    assert all(not queue["trouble"] for queue in described(depths, [])), "without a host that is what is wrong"
