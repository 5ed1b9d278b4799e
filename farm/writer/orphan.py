"""The writer without a supervisor: what it still waits for, whom it ends, and when it leaves."""

from __future__ import annotations

from farm import linux
from farm.shm.generation import GenerationFile
from farm.writer.sources import Source

LOOK_S = 0.05


class Orphan:
    """Decides, step by step, for a crew whose supervisor died.

    Subworkers start nothing more, and leave when the job that they run has ended; their outcomes are committed. At the drain
    timeout, or at a job's own deadline if that is earlier, what still runs is killed. When all are gone and the rings are
    empty, or the timeout has passed and the database is away, the writer leaves.
    """

    def __init__(self, *, drain_timeout_s: float, now_ns: int) -> None:
        self._leave_at_ns = now_ns + int(drain_timeout_s * 1e9)

    def step(self, now_ns: int, sources: list[Source]) -> float | None:
        """Return the seconds until the next look, or None when it is time to leave."""
        alive = [source.generation for source in sources if source.generation is not None and _alive(source.generation)]
        for generation in alive:
            if now_ns >= min([self._leave_at_ns, *_deadlines(generation)]):
                linux.kill_group(generation.pid, generation.pid_start_time)
        if not alive and all(source.drained for source in sources):
            return None
        if not alive and now_ns >= self._leave_at_ns:
            return None
        return LOOK_S


def _alive(generation: GenerationFile) -> bool:
    return generation.pid != 0 and linux.start_time(generation.pid) == generation.pid_start_time


def _deadlines(generation: GenerationFile) -> list[int]:
    return [slot.deadline_ns for slot in generation.slots.running() if slot.deadline_ns]
