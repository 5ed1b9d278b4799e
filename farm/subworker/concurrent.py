"""A subworker with many jobs in flight: coroutines on its one loop, functions that block in threads of its own.

The loop's thread alone touches slots and rings. All of that is done in batches, once in each turn of the loop, right before it
sleeps: collect what has ended, publish it, start as many jobs as slots are free, then tell the others with one fence for all.
"""

from __future__ import annotations

import asyncio
import gc
import os
import select
import selectors
import time
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

import orjson

from farm.ports import Job
from farm.shm.frames import LOGGED, OUTCOME_HEAD, SPILLED, WHOLE, JobFrame, pack_logged, unpack_jobs
from farm.shm.generation import (
    CLOCK_WORD,
    CROWDED_MAX,
    CROWDED_WORD,
    GATE_WORD,
    MARKED_WORD,
    RECALL_WORD,
    REFILL_WORD,
    STOPPING_WORD,
    GenerationFile,
)
from farm.shm.spill import Spill
from farm.shm.tallies import NOT_KNOWN, TallyRow, TallyWriter
from farm.subworker.capture import Capture
from farm.subworker.failures import MEMORY, SNOOZED, failure_of
from farm.subworker.flights import AWAIT, SUCCEEDED, Flight, JobThreads, end_of
from farm.subworker.order import Descriptors, ForkOrder
from farm.subworker.reports import job_of_caller
from farm.subworker.traces import Traced, is_traced, split
from farm.subworker.ways import WaysAtOnce, ways_at_once
from farm.subworker.workbench import GATE_SLEEP_S, IDLE_SLEEP_S, SLEEP_S_MAX, Workbench

BOOTTIME = time.CLOCK_BOOTTIME
any_clock, monotonic_clock = time.clock_gettime_ns, time.monotonic_ns
new_tuple, loads = tuple.__new__, orjson.loads
STARTS_MAX = 256
"""Jobs started in one turn: what runs already waits for no more than that."""
AT_ONCE = b'{"after_s": 0}'
FARM_FRAMES = 3
"""Frames of the farm on top of the traceback of a job that could not be set going."""


class Handed(NamedTuple):
    """A job that was taken out of the ring, at its place in its frame."""

    seq: int
    flags: int
    jobs: JobFrame
    place: int
    row: TallyRow


class Unpublished(NamedTuple):
    """An outcome that waits for room: in the ring, or, while it is not spilled, for its file. Until it has that it may become another."""

    slot: int
    kind: int
    flags: int
    head: bytes
    payload: bytes
    row: TallyRow
    ran_ns: int
    wait_us: int


class Turnstile(selectors.EpollSelector):
    """The selector of an event loop that does something in each turn of the loop, before it sleeps, and wakes in time.

    epoll counts in milliseconds and rounds up, so that each sleep of a job would be late by half of one. select() counts in
    microseconds, and an epoll is itself a descriptor to wait for.
    """

    def __init__(self, before: Callable[[float | None], float], after: Callable[[], None]) -> None:
        """before: called with the seconds that the loop would sleep (None: for ever), returns those that it may. after: it slept."""
        super().__init__()
        self.before = before
        self.after = after

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for descriptors, as the base class does."""
        wait_s = self.before(timeout)
        if wait_s:
            select.select((self.fileno(),), (), (), wait_s)
            self.after()
        return super().select(0)


class JobLoop(asyncio.SelectorEventLoop):
    """The loop of a subworker."""

    def forget(self) -> None:
        """Drop what this turn would still call: in a job's fork of us, the steps of its neighbours, which are not to be done twice."""
        self._ready.clear()  # type: ignore[attr-defined]


class ConcurrentSubworker(Workbench):
    """Runs as many jobs at once as there are slots.

    Modes, as to starting jobs: open; full (no slot is free); choked (an outcome waits for room, so nothing is started until it
    has it); shut (past the gate: frames that were taken wait in hand); recalled (answered, waits until it is lifted); leaving
    (orphaned: when the last job has ended). In all of them what runs goes on, and what ends is published.
    """

    def __init__(self, order: ForkOrder, descriptors: Descriptors, generation: GenerationFile, capture: Capture | None = None) -> None:
        # What the lane's setup makes on the loop is for its jobs, so it is one loop. Until all is set up no jobs go round with it.
        self._turnstile = Turnstile(_sleep_on, lambda: None)
        self._loop = JobLoop(self._turnstile)
        super().__init__(order, descriptors, generation, capture)
        self._turnstile.before, self._turnstile.after = self._turn, self._wake_up
        self._slots = generation.slots
        self._tallies = TallyWriter(generation.tallies)
        self._logged = self._capture.written
        self._free = list(range(self._slots.count))
        self._ways = [ways_at_once(runner) for runner in self._runners]
        self._loop.add_reader(self._wake_fd, self._note_wake)
        self._threads = JobThreads(
            start=self._limit.start_thread,
            wake=partial(os.eventfd_write, self._wake_fd, 1),
            forked=lambda: self._forked,
            encode=self._encode,
        )
        self._awaited: dict[asyncio.Future[Any], Flight] = {}
        self._ended: deque[asyncio.Future[Any]] = deque()
        """Tasks that are done, as their callbacks say."""
        self._in_hand: deque[Handed] = deque()
        """Jobs that were taken out of the ring and could not be started yet: no slot is free for them, or the gate is closed."""
        self._unpublished: deque[Unpublished] = deque()
        self._recall_answered = 0
        self._stopping = 0
        """How often a job was asked to stop, at the last look."""
        self._cancelled: set[int] = set()
        """Sequences of jobs that were, and have not ended yet."""
        self._lone_seq = 0
        """The job that was started last when nothing else ran: as long as none is started after it, it runs alone."""
        self._emptying = False
        """A job got a MemoryError: nothing is started until its neighbours have ended, or there is room again."""
        self._left = False
        self._awake = True
        """True if something is to be done before the loop may sleep."""
        self._published = False
        """True if the writer has not been looked at since."""
        self._hungry = True
        """True if the supervisor does not know yet how few jobs are left here."""

    def _wait_for_setup(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(coroutine)

    def serve(self) -> None:
        """Run what comes until the supervisor is gone and the last job has ended."""
        asyncio.set_event_loop(self._loop)
        self._slot_clock.begin(monotonic_clock())
        while not self._left:
            try:
                # Comes back before its time when a job stops the loop.
                self._loop.run_forever()
            except BaseException as error:
                if self._forked:
                    os._exit(0)
                # These two of a job go through the loop, after its task has taken note of them.
                if not isinstance(error, SystemExit | KeyboardInterrupt):
                    raise

    def _turn(self, timeout_s: float | None) -> float:
        """Do what is to be done in this turn of the loop; returns how long it may sleep."""
        if self._forked:
            os._exit(0)
        self._awake = False
        if self._ended or self._threads.ended:
            self._collect()
        if self._unpublished:
            self._publish_late()
        if self._words[STOPPING_WORD] != self._stopping:
            self._heed_stops()
        if self._emptying:
            self._make_room()
        if self._words[RECALL_WORD]:
            self._stand_back()
        elif self._free and not self._unpublished and not self._emptying and not self.gate.orphaned:
            self._start()
        running = self._slots.count - len(self._free)
        if running != self._slot_clock.running:
            self._slot_clock.note(running, monotonic_clock())
        if self.gate.orphaned and len(self._free) == self._slots.count:
            self._left = True
            self._loop.stop()
        if self._awake or self._left or timeout_s == 0:
            if self._published:
                self._published = False
                self._wake_writer()
            return 0
        return self._may_sleep(timeout_s)

    def _may_sleep(self, timeout_s: float | None) -> float:
        """Say to the others that the loop is about to sleep; returns how long."""
        bound_s = SLEEP_S_MAX
        if self._unpublished:
            waiting = self._unpublished[0]
            if self._is_large(waiting):
                bound_s = Spill.WAIT_S
            elif not self._results.want_space(len(waiting.head) + len(waiting.payload)):
                return 0
        elif self._free and (self._in_hand or self._emptying):
            bound_s = GATE_SLEEP_S
        elif self._free and not self._words[RECALL_WORD] and not self.gate.orphaned:
            if not self._jobs.arm():
                return 0
            if self._hungry:
                self._hungry = False
                self._ask_for_more()
            if len(self._free) == self._slots.count:
                bound_s = IDLE_SLEEP_S
        if self._published:
            self._published = False
            self._wake_writer()
        self._threads.asleep = True
        if self._threads.ended:
            self._wake_up()
            return 0
        return bound_s if timeout_s is None else min(timeout_s, bound_s)

    def _wake_up(self) -> None:
        self._threads.asleep = False
        self._jobs.disarm()

    def _note_wake(self) -> None:
        with suppress(BlockingIOError):
            os.eventfd_read(self._wake_fd)

    def _start(self) -> None:
        """Start jobs in the free slots, in the order of their sequences: the one place where StartGate.start is called."""
        self._take()
        gate, words, free, in_hand = self.gate, self._words, self._free, self._in_hand
        if in_hand and len(free) == self._slots.count:
            self._lone_seq = in_hand[0].seq
        clock_ns, boottime = any_clock, BOOTTIME
        seq = 0
        for _ in range(min(len(in_hand), len(free), STARTS_MAX)):
            # What gate.blocked() asks, but for the recall, which start() looks for behind its fence.
            if gate.orphaned or clock_ns(boottime) >= words[GATE_WORD]:
                break
            seq, flags, jobs, place, row = in_hand[0]
            lease_id, job_id, position, attempt = jobs.lease_id, jobs.job_ids[place], jobs.positions[place], jobs.attempts[place]
            started_ns = monotonic_clock()
            slot = free[-1]
            deadline_ns = started_ns + jobs.timeout_ms * 1_000_000 if jobs.timeout_ms else 0
            if not gate.start(slot, seq, lease_id, position, job_id, attempt, jobs.losts[place], started_ns, deadline_ns):
                # Answered already, and perhaps lifted: what is in hand has been taken back.
                in_hand.clear()
                self._stand_back()
                return
            free.pop()
            in_hand.popleft()
            self._awake = self._hungry = True
            wait_us = max(0, words[CLOCK_WORD] + started_ns // 1000 - jobs.since_us) if jobs.since_us else NOT_KNOWN
            flight = slot, seq, lease_id, position, job_id, attempt, started_ns, row, wait_us
            self._begin(flight, jobs.runner, jobs.task, jobs.args[place], flags)
        if self._answered != words[REFILL_WORD] <= seq:
            self._ask_for_more()

    def _take(self) -> None:
        """Take frames out of the ring until there is a job in hand for every free slot."""
        in_hand, wanted = self._in_hand, min(len(self._free), STARTS_MAX)
        while len(in_hand) < wanted:
            frames = self._jobs.take(1)
            if not frames:
                return
            for _seq, _kind, flags, payload in frames:
                jobs = unpack_jobs(payload)
                count, row = len(jobs.job_ids), self._tallies.row_of(jobs.task)
                in_hand.extend(Handed(jobs.first_seq + index, flags, jobs, index, row) for index in range(count))
                self._next_seq = jobs.first_seq + count

    def _begin(self, flight: Flight, runner: int, task: bytes, args: bytes, flags: int) -> None:
        """Set a started job going, on the loop or in a thread; whatever goes wrong with that is its outcome."""
        traceparent = ""
        while True:
            try:
                if flags & SPILLED:
                    args = self._unspilled(args)
                # Half the cost of calling the class: one for every job.
                job: Job = new_tuple(Job, (flight[4], self._tasks.get(task) or self._task(task), loads(args), flight[5] + 1))
                self._set_going(flight, self._ways[runner], job, traceparent)
            except BaseException as error:
                if not traceparent and is_traced(args):
                    # It is set going once more, in a span of its own, when this error is over and done with.
                    (traceparent, args), flags = split(args), 0
                    continue
                self._end(flight, *failure_of(error, skip_frames=FARM_FRAMES))
            break
        if self._forked:
            # A fork that an import of the job's made came back from it too. Only one process may speak for this subworker.
            os._exit(0)

    def _set_going(self, flight: Flight, ways: WaysAtOnce, job: Job, traceparent: str) -> None:
        """Have a job run. traceparent: the span that it was enqueued in, if it was in one."""
        coroutine, run = ways.begin(job), ways.run
        if traceparent:
            traced = Traced(job, traceparent, lane=self._order.lane)
            coroutine, run = None if coroutine is None else traced.awaited(coroutine), traced.running(run)
        if coroutine is None:
            self._generation.stops.otherwise[flight[0]] = flight[1]
            self._threads.run(flight, run, job)
        else:
            self._await(flight, coroutine)

    def _await(self, flight: Flight, coroutine: Coroutine[Any, Any, Any]) -> None:
        job_of_caller.set(flight)
        # Not loop.create_task(): a job may have set a factory for its own. The task copies the context of this thread.
        task = asyncio.Task(coroutine, loop=self._loop)
        self._awaited[task] = flight
        task.add_done_callback(self._ended.append)

    def _heed_stops(self) -> None:
        """Cancel the jobs that were asked to end, each once: what it does about that may take a while, and is up to it."""
        self._stopping = self._words[STOPPING_WORD]
        stops, running = self._generation.stops, set()
        for task, (slot, seq, *_) in self._awaited.items():
            running.add(seq)
            if stops.of(slot, seq) is not None and seq not in self._cancelled:
                self._cancelled.add(seq)
                task.cancel()
        self._cancelled &= running
        self._awake = True

    def _collect(self) -> None:
        """Take in what has ended since the last turn."""
        ended, awaited, threads = self._ended, self._awaited, self._threads
        while ended:
            task = ended.popleft()
            self._end(awaited.pop(task), *end_of(task.result, self._encode, skip_frames=0))
        while (back := threads.collect()) is not None:
            flight, kind, payload = back
            if kind == AWAIT:
                self._awake = True
                self._generation.stops.otherwise[flight[0]] = 0
                self._await(flight, payload)
                # It may have been asked to end while it was in its thread.
                self._stopping = -1
            else:
                self._end(flight, kind, payload)

    def _end(self, flight: Flight, kind: int, payload: Any) -> None:
        """Publish what a job has come to and free its slot, or keep both until there is room."""
        slot, seq, lease_id, position, job_id, attempt, started_ns, row, wait_us = flight
        if kind == MEMORY:
            self._emptying = True
            if not (seq == self._lone_seq == self._words[MARKED_WORD] or self._generation.stops.of(slot, seq)):
                kind, payload = SNOOZED, self._send_back(job_id)
        if kind != SUCCEEDED:
            kind, payload = self._stopped(slot, seq, kind, payload)
        finished_ns, clock_us = monotonic_clock(), self._words[CLOCK_WORD]
        log = self._log_of(slot, seq, kind) if slot in self._logged else b""
        in_time = kind == SUCCEEDED and not self._unpublished and len(payload) + len(log) <= self._result_bytes_max
        if in_time and self._results.publish_any(
            lease_id, seq, position, job_id, clock_us + started_ns // 1000, clock_us + finished_ns // 1000, finished_ns, payload, log
        ):
            row.add(kind, 1, finished_ns - started_ns, wait_us)
            self._free_slot(slot)
            return
        # It has ended in time, though nobody can be told yet: it is not to be killed for that.
        self._slots.lift_deadline(slot)
        head = OUTCOME_HEAD.pack(lease_id, job_id, started_ns, finished_ns, seq, 0, position, attempt)
        flags, body = (WHOLE | LOGGED, pack_logged(payload, log)) if log else (WHOLE, payload)
        self._unpublished.append(Unpublished(slot, kind, flags, head, body, row, finished_ns - started_ns, wait_us))
        self._awake = True

    def _send_back(self, job_id: int) -> bytes:
        """Have a job come back to run alone, no attempt used: what it asked for may have been little beside what others hold."""
        words = self._words
        # In this order: the supervisor that sees the count finds the id.
        words[CROWDED_WORD + 1 + words[CROWDED_WORD] % CROWDED_MAX] = job_id
        words[CROWDED_WORD] += 1
        return AT_ONCE

    def _make_room(self) -> None:
        """Go on starting jobs when there is room again; where nothing runs and still there is none, make it for a successor."""
        if self._limit.is_full:
            if len(self._free) < self._slots.count:
                return
            gc.collect()
            if self._limit.is_full:
                self._leave_full()
        self._emptying = False

    def _publish_late(self) -> None:
        """Publish what waits for room, in order, as far as there is room now."""
        waiting = self._unpublished
        while waiting:
            first = waiting[0]
            if self._is_large(first):
                spilled = self._spilled(first)
                if spilled is None:
                    return
                first = waiting[0] = spilled
            if not self._results.publish(first.kind, first.flags, first.head + first.payload):
                return
            waiting.popleft()
            # Only now it is what it came to; and of one that dies before, the supervisor counts what that comes to.
            first.row.add(first.kind, 1, first.ran_ns, first.wait_us)
            self._free_slot(first.slot)

    def _spilled(self, waiting: Unpublished) -> Unpublished | None:
        """Spill an outcome, None while there is no room for it; where the disk has none either, that is what the job came to."""
        try:
            name = self._spill.write(waiting.payload, wait=False)
        except OSError as error:
            kind, flags, body = self._unspilled_outcome(waiting.kind, waiting.flags, waiting.payload, error)
            return waiting._replace(kind=kind, flags=flags, payload=body)
        return None if name is None else waiting._replace(flags=waiting.flags | SPILLED, payload=name)

    def _is_large(self, waiting: Unpublished) -> bool:
        return len(waiting.payload) > self._result_bytes_max

    def _free_slot(self, slot: int) -> None:
        """Only after its outcome is published: until then the slot tells that the job was started."""
        self.gate.finish(slot)
        self._free.append(slot)
        if len(self._free) == self._slots.count:
            # Nobody is about to print: what one of them has put in the place of sys.stdout is in nobody's way any more.
            self._capture.restore()
        self._published = self._hungry = True

    def _stand_back(self) -> None:
        """Answer a recall, once. Nothing is taken out of the ring until it is lifted: it may hold frames that were taken back."""
        number = self.gate.recall_number
        if number == self._recall_answered or self.gate.orphaned:
            return
        self._recall_answered = number
        self.gate.acknowledge(self._in_hand[0].seq if self._in_hand else self._next_seq)
        self._in_hand.clear()
        os.eventfd_write(self._supervisor_fd, 1)

    def _note_fork(self) -> None:
        super()._note_fork()
        self._loop.forget()


def _sleep_on(timeout_s: float | None) -> float:
    return SLEEP_S_MAX if timeout_s is None else timeout_s
