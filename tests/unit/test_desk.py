"""What the supervisor says of jobs itself is counted until it is committed, wherever it waits."""

from __future__ import annotations

from pathlib import Path

from farm.shm.generation import RingFile
from farm.shm.ring import RingConsumer
from farm.supervisor.crew.desk import Desk, released


def test_what_was_given_back_counts_until_it_is_committed(tmp_path: Path) -> None:
    """A farm that leaves while the database is away must not think that it has nothing left to commit."""
    file = RingFile.create(tmp_path / "desk", host_id=1, capacity=1 << 12)
    desk = Desk(file, wake_writer=lambda: None, heartbeat_s=1.0)
    assert desk.uncommitted == 0
    jobs = [(0, 1, number, number, 0, 0, 0, 0, b"chores:who", 0, b"[]") for number in range(1, 101)]
    desk.push(released(jobs))
    assert 0 < desk.backlog < 100, "some wait for room in the ring"
    assert desk.uncommitted == 100
    writer = RingConsumer(file.ring)
    frames = len(writer.read(1000))
    # Its acks come before it gives the room back, and those of a writer that dies between the two come twice.
    desk.settle(frames)
    assert desk.uncommitted == 100 - frames + 1, "a ring that is not drained is not empty"
    writer.release(writer.cursor)
    desk.step()
    while frames := len(writer.read(1000)):
        writer.release(writer.cursor)
        desk.settle(2 * frames)
        desk.step()
    assert desk.drained
    assert desk.uncommitted == 0
    desk.push(released(jobs[:1]))
    assert desk.uncommitted == 1
    writer.close()
