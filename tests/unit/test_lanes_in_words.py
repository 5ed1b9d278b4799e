"""Why a job waits is said of the lanes that would take it, and of no other."""

from __future__ import annotations

from typing import Any

import pytest

from farm.answers.lanes import troubles, why_waiting


def lane(*queues: str, memory_mb: int = 512, **state: Any) -> dict[str, Any]:
    return {"queues": list(queues), "memory_bytes": memory_mb * 1_000_000, "state": {"serving": 1, "of": 1, **state}}


def host(
    host_id: int = 1, *, state: str = "live", paused: tuple[str, ...] = (), runners: tuple[str, ...] = ("python",), **lanes: dict[str, Any]
) -> dict[str, Any]:
    return {"id": host_id, "state": state, "paused_queues": list(paused), "runners": list(runners), "lanes": lanes}


@pytest.mark.parametrize(
    ("hosts", "why"),
    [
        ([], "no host is live"),
        ([host(state="retired", a=lane("mail"))], "no host is live"),
        ([host(a=lane("other"))], "no lane serves the queue mail"),
        ([host(a=lane("mail", memory_mb=256), b=lane("other", memory_mb=4000))],
         "no lane that serves the queue mail has the 512 MB of memory that jobs in it declare"),
        ([host(a=lane("*", memory_mb=512))], ""),
        ([host(runners=("shell",), a=lane("mail"))], "no host with a lane for it has the runner python"),
        ([host(a=lane("mail", held_by=["paused"]))], "lane a of host 1 is paused"),
        ([host(a=lane("mail", held_by=["memory"]))], "lane a of host 1 claims nothing while its host is short of memory"),
        ([host(a=lane("mail", held_by=["paused"]), b=lane("*"))], ""),
        ([host(a=lane("mail", serving=0, missing="setup x:y: OSError"))], "lane a of host 1 has 0 of 1 subworkers: setup x:y: OSError"),
        ([host(a=lane("mail", serving=1, of=2))], ""),
        ([host(paused=("mail",), a=lane("mail"), b=lane("*"))], "the queue mail is paused on host 1"),
        ([host(paused=("mail",), a=lane("mail")), host(2, a=lane("mail", serving=0))],
         "the queue mail is paused on host 1; lane a of host 2 has 0 of 1 subworkers"),
        ([host(paused=("mail",), a=lane("mail")), host(2, a=lane("mail"))], ""),
        ([host(a={"queues": ["mail"], "memory_bytes": 10**9, "state": {}})], ""),
    ],
)  # fmt: skip
def test_why_a_job_waits(hosts: list[dict[str, Any]], why: str) -> None:
    assert why_waiting("mail", "python", 512, hosts) == why


def test_what_keeps_lanes_from_their_work() -> None:
    """All of it; nothing is said of a lane that works, nor of a host that is gone."""
    hosts = [
        host(
            a=lane("mail"),
            s=lane("mail", missing="no spare subworker: no room"),
            b=lane("*", held_by=["memory", "paused"], serving=1, of=3, missing="no room"),
            paused=("q", "r"),
        ),
        host(2, state="retired", a=lane("mail", held_by=["paused"]), paused=("q",)),
    ]
    assert list(troubles(hosts)) == [
        "lane s of host 1 has no spare subworker: no room",
        "lane b of host 1 claims nothing while its host is short of memory",
        "lane b of host 1 is paused",
        "lane b of host 1 has 1 of 3 subworkers: no room",
        "host 1 claims nothing of the queue q, which is paused there",
        "host 1 claims nothing of the queue r, which is paused there",
    ]
