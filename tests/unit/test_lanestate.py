"""How lanes do, as a heartbeat tells it: short, whole, and fit to be stored whatever a user's function has raised."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from farm.config.model import Config, Host, Lane, Recycle, WriterOptions
from farm.config.model import Database as DatabaseOptions
from farm.shm.generation import GenerationFile
from farm.shm.slottime import SlotClock
from farm.supervisor.host.hostrow import described
from farm.supervisor.host.lanestate import LaneStates
from farm.supervisor.lanes.lane import Lane as LaneAtWork
from farm.supervisor.lanes.witness import Witness
from farm.supervisor.processes.generation import Generation, Phase

S = 1_000_000_000
FAST = Lane(name="fast", queues=("mail",), subworkers=2, concurrency=1, memory_bytes=256_000_000)


@pytest.fixture
def lane() -> LaneAtWork:
    return LaneAtWork(FAST, claim_max=100, witness=Witness(hurry=lambda: None, wake=lambda: None))


@pytest.fixture
def generation(tmp_path: Path) -> Iterator[Generation]:
    file = GenerationFile.create(tmp_path / "w0.1", slots=1, host_id=1)
    made = Generation(name="w0.1", number=1, lane="fast", host_id=1, file=file, wake_fd=os.eventfd(0, os.EFD_CLOEXEC))
    yield made
    os.close(made.wake_fd)


def test_a_lane_that_works(lane: LaneAtWork, generation: Generation) -> None:
    """One that is being set up does not serve; what has nothing to say is left out."""
    states = LaneStates(lanes=lambda: [lane], shortage=lambda _name: "")
    lane.add(generation)
    assert json.loads(states.look(100 * S, {})) == {"fast": {"serving": 0, "of": 2, "buffered": 0}}
    generation.phase = Phase.SERVING
    clock = SlotClock(generation.file.words)
    clock.begin(100 * S)
    clock.note(1, 100 * S + S // 4)
    assert json.loads(states.look(101 * S, {})) == {"fast": {"serving": 1, "of": 2, "busy": 75, "busy_60s": 75, "buffered": 0}}
    generation.leaving = True
    assert json.loads(states.look(102 * S, {"fast": (3, 4)}))["fast"] == {
        "serving": 0, "of": 2, "leaving": 1, "busy": 75, "busy_60s": 75, "buffered": 0, "running": [3, 4],
    }  # fmt: skip


def test_a_lane_that_cannot(lane: LaneAtWork) -> None:
    """Why is told, on one line and cut; so is what holds it."""
    why = "setup pools:open: OSError: \x1b[2J\x00\ud800\n" + "x" * 300
    states = LaneStates(lanes=lambda: [lane], shortage={"fast": why}.__getitem__)
    lane.hold("paused")
    lane.hold("memory")
    state = json.loads(states.look(S, {}))["fast"]
    assert state["held_by"] == ["memory", "paused"]
    assert state["missing"].startswith("setup pools:open: OSError:  [2J   xx")
    assert len(state["missing"]) == 200


def test_what_a_host_is_has_no_value_of_a_variable() -> None:
    """Those may be secret; all else that a lane is, is there, unless it does without."""
    heavy = Lane(
        name="heavy", queues=("reports", "*"), subworkers=1, concurrency=20, memory_bytes=2 * 10**9, timeout_s=600.0, cpus=(2, 3),
        setup=("pools:open",), env={"TOKEN": "s3cret"}, nice=5, recycle=Recycle(max_jobs=10_000),
    )  # fmt: skip
    options: dict[str, Any] = {
        "drain_timeout_s": 1, "heartbeat_s": 1, "lease_s": 10, "reap_every_s": 2, "poll_s": 1, "claim_max": 1, "spill_bytes_max": 1,
    }  # fmt: skip
    config = Config(
        path="c.yaml", database=DatabaseOptions(kind="embedded"), host=Host(name="h", memory_bytes=3), runners={"shell": {}, "python": {}},
        lanes=(FAST, heavy), tasks=(), writer=WriterOptions(batch_max=1, age_max_s=1), **options,
    )  # fmt: skip
    said = described(config)
    assert said == {
        "lanes": {
            "fast": {"place": 0, "queues": ["mail"], "subworkers": 2, "concurrency": 1, "memory_bytes": 256_000_000},
            "heavy": {
                "place": 1, "queues": ["reports", "*"], "subworkers": 1, "concurrency": 20, "memory_bytes": 2 * 10**9, "timeout_s": 600.0,
                "setup": ["pools:open"], "env": ["TOKEN"], "cpus": [2, 3], "nice": 5, "recycle": {"max_jobs": 10_000},
            },
        },
        "runners": ["python", "shell"],
        "capacity": 22,
        "memory_bytes": 3,
    }  # fmt: skip
    assert "s3cret" not in json.dumps(said)
