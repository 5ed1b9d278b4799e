"""What every subworker works with, however many jobs it runs at once: its rings, its runners, its limits, and whom it wakes."""

from __future__ import annotations

import gc
import os
import select
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import runners
from farm import headway, linux
from farm.model import ARGS_BYTES_MAX
from farm.ports import SubworkerContext
from farm.shm.fence import fence
from farm.shm.frames import LOGGED, OUTCOME_HEAD, WHOLE, split_logged
from farm.shm.generation import READY, REFILL_WORD, GenerationFile
from farm.shm.ring import RingConsumer
from farm.shm.slottime import SlotClock
from farm.shm.spill import Spill
from farm.shm.start import SoleGate, StartGate
from farm.shm.successes import VALUE_AT, SuccessProducer
from farm.subworker.capture import Capture
from farm.subworker.failures import FAILED, MEMORY, SUCCEEDED, memory_error
from farm.subworker.limits import LEAVES_FULL, MemoryLimit
from farm.subworker.order import Descriptors, ForkOrder
from farm.subworker.preparation import Wait, call_setup, setting_up
from farm.subworker.reports import reporter, sole_reporter
from farm.subworker.results import drop_result, encode_result, error_payload, stopped_payload
from farm.subworker.surroundings import Surroundings

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

SLEEP_S_MAX = 1.0
"""No wake-up is known to get lost; should one, this is how long it would cost."""
IDLE_SLEEP_S = 60.0
"""The same where nothing runs, nothing waits and nothing is asked: then the supervisor wakes a second time whoever should have moved."""
GATE_SLEEP_S = 0.02
TASKS_MAX = 10_000
NO_ERROR = error_payload("", "")


def name_of(generation: GenerationFile) -> str:
    """Return the name of a subworker's process: it says which post it has."""
    return f"farm w{generation.post - 1}" if generation.post else "farm spare"


class Workbench:
    """Made once, in the process that the zygote forked. The two kinds of subworker add the loop that runs the jobs."""

    def __init__(self, order: ForkOrder, descriptors: Descriptors, generation: GenerationFile, capture: Capture | None = None) -> None:
        """capture: of what jobs print, where that has begun."""
        self._order = order
        self._generation = generation
        self._capture = capture or Capture(order, generation)
        self._words = generation.words
        self._slot_clock = SlotClock(generation.words)
        self._wake_fd = descriptors.wake
        self._supervisor_fd = descriptors.supervisor
        self._jobs = RingConsumer(generation.job_ring)
        self._results = SuccessProducer(generation.result_ring, wake=partial(os.eventfd_write, descriptors.writer, 1))
        self._result_bytes_max = self._results.frame_bytes_max - 64 - max(OUTCOME_HEAD.size, VALUE_AT)
        self._encode = encode_result if order.keep_result else drop_result
        self._spill = Spill(Path(order.spill_directory), owner=order.spill_owner, bytes_max=order.spill_bytes_max)
        self._tasks: dict[bytes, str] = {}
        self._surroundings = Surroundings((1, descriptors.wake, descriptors.writer))
        self._runners = self._set_up_runners()
        call_setup(order.setup, wait=self._wait_for_setup)
        # The baseline is taken here: what a setup has loaded is none of a job's.
        self._limit = MemoryLimit(order.memory_bytes, threads_max=order.concurrency if order.concurrency > 1 else 0)
        self._forked = False
        self._next_seq = 1
        """The sequence after that of the last job that was taken out of the ring."""
        self._answered = 0
        """The last wish for a wake-up that was granted."""
        self.gate = (SoleGate if generation.slots.count == 1 else StartGate)(generation, self._jobs)

    _wait_for_setup: Wait | None = None
    """Runs a coroutine of the lane's setup on the loop of its jobs, where there is one."""

    def get_ready(self) -> None:
        """Set the limits and say that frames may come."""
        gc.freeze()
        self._surroundings.note()
        os.register_at_fork(after_in_child=self._note_fork)
        headway.listen((sole_reporter if self._generation.slots.count == 1 else reporter)(self._generation))
        self._limit.set()
        self._generation.baseline_bytes = self._limit.baseline_bytes
        self._generation.ready = READY
        os.eventfd_write(self._supervisor_fd, 1)

    def stand_by(self) -> None:
        """Wait for a post, if this is a spare; afterwards the name of this process says which one it is."""
        poll = select.poll()
        poll.register(self._wake_fd, select.POLLIN)
        while not self.gate.orphaned and not self._generation.post:
            poll.poll(IDLE_SLEEP_S * 1000)
            with suppress(BlockingIOError):
                os.eventfd_read(self._wake_fd)
        linux.name_process(name_of(self._generation))

    def fail_at_borders(self) -> None:
        """Have the borders of every job be failpoints. Only where one of them is named: jobs pay for it."""
        from farm.subworker.failing import fail_in_gate, fail_in_ring

        fail_in_gate(self.gate)
        fail_in_ring(self._results)

    def serve(self) -> None:
        """Run what comes until the supervisor is gone."""
        raise NotImplementedError

    def heed_stop(self, _signal: int, _frame: FrameType | None) -> None:
        """Be told by a signal that a job is to end: only where they run one at a time, elsewhere it is found by looking."""

    def _ask_for_more(self) -> None:
        """Wake the supervisor, once for each wish that it stored."""
        self._answered = self._words[REFILL_WORD]
        os.eventfd_write(self._supervisor_fd, 1)

    def _wake_writer(self) -> None:
        fence()
        self._results.wake_sleeper()

    def _unspilled(self, name: bytes) -> bytes:
        args = self._spill.read(name, bytes_max=ARGS_BYTES_MAX * 2)
        if args is None:
            raise FileNotFoundError(f"the job's arguments were spilled to {name.decode()}, which is gone")
        return args

    def _not_kept(self, payload: bytes, error: OSError) -> bytes:
        where = self._order.spill_directory
        return error_payload("ResultNotKept", f"the result is {len(payload):,} bytes long and cannot be kept in {where}: {error.strerror}")

    def _unspilled_outcome(self, kind: int, flags: int, body: bytes, error: OSError) -> tuple[int, int, bytes]:
        """Return what becomes of an outcome that the disk has no room for: (kind, flags, body). No job fails for that of its log."""
        text = split_logged(body)[0] if flags & LOGGED else body
        if len(text) > self._result_bytes_max:
            return FAILED, WHOLE, self._not_kept(text, error)
        return kind, WHOLE, text

    def _leave_full(self) -> None:
        """End this process when its jobs have left too much in its memory, and nothing runs: what was published stands."""
        self._wake_writer()
        sys.stdout.flush()
        os._exit(LEAVES_FULL)

    def _task(self, task: bytes) -> str:
        """Decode a task's name once. Bounded: names come from whoever enqueues."""
        if len(self._tasks) >= TASKS_MAX:
            self._tasks.clear()
        return self._tasks.setdefault(task, task.decode())

    def _set_up_runners(self) -> list[Any]:
        made = []
        for name, options in self._order.runners:
            path = tuple(options.get("path", ()))
            context = SubworkerContext(
                lane=self._order.lane,
                concurrency=self._order.concurrency,
                path=path,
                awaits=self._note_awaited,
                imported=self._surroundings.note,
            )
            with setting_up(f"runner {name}"):
                runner = runners.load(name)()
                runner.setup(options, context)
            made.append(runner)
        return made

    def _note_awaited(self, loop: AbstractEventLoop, coroutine: Any) -> None:
        """Called when the only job that runs is about to be awaited on that loop, which is the runner's own."""

    def _stopped(self, slot: int, seq: int, kind: int, payload: Any) -> tuple[int, Any]:
        """Return what a job has come to that did not succeed: if it was asked to end, and has failed, that is why."""
        stop = self._generation.stops.of(slot, seq) if kind in (FAILED, MEMORY) else None
        if stop is not None:
            return stop.kind, stopped_payload(stop.kind, stop.text, NO_ERROR if kind == MEMORY else payload)
        return kind, memory_error(self._limit, payload) if kind == MEMORY else payload

    def _log_of(self, slot: int, seq: int, kind: int) -> bytes:
        """Return what is to be kept of what a job has printed, in the bytes of its log; b"" if that is nothing."""
        if kind == MEMORY:
            with self._limit.reserve():
                return self._capture.taken(slot, seq)
        log = self._capture.taken(slot, seq)
        return log if kind != SUCCEEDED or self._capture.keeps_successes else b""

    def _note_fork(self) -> None:
        """Called in the child of a fork that a job made. Only one process may speak for this subworker."""
        self._forked = True
        self._capture.note_fork()
        headway.listen(None)
