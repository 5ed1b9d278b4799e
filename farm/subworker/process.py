"""A subworker: takes jobs from its ring, runs them one after the other, publishes what they came to. Knows no database."""

from __future__ import annotations

import faulthandler
import gc
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import orjson

from farm import failpoints, linux
from farm.ports import Job
from farm.shm.frames import LOGGED, OUTCOME_HEAD, SPILLED, WHOLE, JobFrame, pack_logged, unpack_jobs
from farm.shm.generation import CLOCK_WORD, REFILL_WORD, SETUP_FAILED, GenerationFile
from farm.shm.ring import CWAIT_WORD, Frame
from farm.shm.slots import FREE
from farm.subworker.capture import Capture
from farm.subworker.failures import MEMORY, failure_of
from farm.subworker.limits import EXHAUSTED, Peak
from farm.subworker.order import Descriptors, ForkOrder
from farm.subworker.preparation import reason_of, surround
from farm.subworker.reports import SEQ_COLUMN
from farm.subworker.slices import Slices
from farm.subworker.stretch import SUCCEEDED, Stretch
from farm.subworker.traces import is_traced, span_of, split
from farm.subworker.ways import way_to_bind, way_to_run
from farm.subworker.workbench import GATE_SLEEP_S, IDLE_SLEEP_S, SLEEP_S_MAX, Workbench, name_of

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

TRACED = 0
"""Stands for what a job came to that is still to be run, in a span of its own: see traces.py."""
SEQ_WORD = SEQ_COLUMN
"""In a slot table with one row a column is a word."""
monotonic_clock, loads = time.monotonic_ns, orjson.loads
FRAMES_MAX = 16
"""Frames of many jobs each, taken from the ring at once: recall reaches what was taken, so it costs nothing to take many."""
LOOK_NS = 200_000
"""Between two jobs that follow each other more closely than this, nobody looks whether the gate is closed or more is wanted. A host
that wakes up past its lease may start jobs for so long: they are run elsewhere too, and the fence drops what comes of them here."""
MEASURED_NS = 1_000_000
"""The peak of a job that took less is not kept: to be told it costs its outcome a microsecond or two."""
FARM_FRAMES = 2
"""Frames of the farm on top of every traceback: of this module, and of the runner."""


class Subworker(Workbench):
    """Runs jobs in one slot. Modes: asleep (its ring is empty), running, held (recalled or past the gate), leaving (orphaned)."""

    def __init__(self, order: ForkOrder, descriptors: Descriptors, generation: GenerationFile, capture: Capture | None = None) -> None:
        super().__init__(order, descriptors, generation, capture)
        self._awaited: tuple[int, AbstractEventLoop, Any] | None = None
        """The sequence of the job that was awaited last, its loop and its coroutine."""
        self._poll = select.poll()
        self._poll.register(self._wake_fd, select.POLLIN)
        self._runs = [way_to_run(runner, self._note_awaited) for runner in self._runners]
        self._hungry = True
        """True if the others do not know yet that nothing is left here."""
        self._last_task = b""
        self._binds = [way_to_bind(runner) for runner in self._runners]
        self._stretch = Stretch(generation, apart_ns=LOOK_NS)
        self._peak = Peak()
        self._log = self._capture.log_of(0)
        self._slices = Slices()

    def serve(self) -> None:
        """Run what comes until the supervisor is gone."""
        self._slot_clock.begin(monotonic_clock())
        self._slot_clock.note(1, monotonic_clock())
        while not self.gate.orphaned:
            frames = self._jobs.take(FRAMES_MAX)
            if frames:
                self._run_all(frames)
                self._hungry = True
            elif self.gate.recall_number:
                self._stand_back(self._next_seq)
                self._hungry = True
            else:
                self._sleep()

    def _run_all(self, frames: list[Frame]) -> None:
        """Run the jobs of frames in order; return early when they were recalled."""
        for _seq, _kind, flags, payload in frames:
            jobs = unpack_jobs(payload)
            self._next_seq = jobs.first_seq + len(jobs.job_ids)
            if jobs.task != self._last_task:
                self._last_task = jobs.task
                self._stretch.take_up(jobs.task)
                self._surroundings.restore()
            if not self._run_frame(jobs, flags):
                return
        self._slices.note(monotonic_clock())

    def _run_frame(self, jobs: JobFrame, flags: int) -> bool:  # noqa: PLR0915 - to call something for a job costs a hundredth of it
        """Run the jobs of a frame in order; False when they were recalled. The hot path: one fence and one look at a clock a job."""
        gate, words, states, result_words = self.gate, self._words, self._generation.slots.states, self._results.words
        start, publish, monotonic_ns, stretch = gate.start, self._results.publish_success, monotonic_clock, self._stretch
        lease_id, seq, since_us, timeout_ms, runner, task, job_ids, positions, attempts, losts, all_args = jobs
        task_name, inline_bytes_max = self._tasks.get(task) or self._task(task), self._result_bytes_max
        run, bound, encode = self._runs[runner], self._binds[runner](task_name), self._encode
        started_ns, look_at_ns, reset_peak = monotonic_ns(), 0, self._peak.reset
        stretch.first, stretch.since_us = seq, since_us
        log, (stdout, stderr) = self._log, self._capture.streams
        for job_id, position, attempt, lost, args in zip(job_ids, positions, attempts, losts, all_args, strict=True):
            looks = started_ns >= look_at_ns or gate.orphaned
            if looks:
                stretch.end(seq, started_ns)
                if not self._pass_gate(seq):
                    return False
                stretch.began_ns = started_ns = monotonic_ns()
                look_at_ns = started_ns + LOOK_NS
                # A job that ends later took longer than MEASURED_NS, and what ran before it since the reset took less than LOOK_NS.
                measured_at_ns = look_at_ns + MEASURED_NS
                reset_peak()
                # Both times of a job are to be told by one clock.
                clock_us = words[CLOCK_WORD]
                started_us = clock_us + started_ns // 1000
            deadline_ns = started_ns + timeout_ms * 1_000_000 if timeout_ms else 0
            if not start(0, seq, lease_id, position, job_id, attempt, lost, started_ns, deadline_ns):
                stretch.end(seq, started_ns)
                self._stand_back(seq)
                return False
            if looks or result_words[CWAIT_WORD]:
                # The fence of start() stands behind the frame published last: now it is right to look who sleeps.
                self._look_around(seq)
            # Whatever the job does, an outcome comes of it.
            try:
                if flags:
                    args = self._unspilled(args)
                value = loads(args)
                value = bound(value) if bound else run(Job(job_id, task_name, value, attempt + 1))
                kind, text = SUCCEEDED, encode(value)
            except BaseException as error:
                # What cannot be read as arguments may be one that names a span; it is run when this error is over and done with.
                kind, text = (TRACED, b"") if is_traced(args) else self._failure_of(error)
            if self._forked:
                # A fork that the job made came back from it too. Only one process may speak for this subworker.
                os._exit(0)
            try:
                if sys.stdout is not stdout or sys.stderr is not stderr:
                    self._capture.restore()
            except AttributeError:
                self._capture.restore()
            finished_ns = monotonic_ns()
            finished_us = clock_us + finished_ns // 1000
            if (
                log.seq
                or kind != SUCCEEDED
                or finished_ns > measured_at_ns
                or len(text) > inline_bytes_max
                or not publish(lease_id, seq, position, job_id, started_us, finished_us, finished_ns, text)
            ):
                if kind == TRACED:
                    kind, text = self._run_traced(run, Job(job_id, task_name, args, attempt + 1))
                    finished_ns = monotonic_ns()
                    finished_us = clock_us + finished_ns // 1000
                success = (lease_id, seq, position, job_id, started_us, finished_us, finished_ns)
                self._publish_closely(kind, text, success, started_ns, attempt, took_long=finished_ns > measured_at_ns)
                stretch.began_ns = finished_ns = monotonic_ns()
                finished_us = clock_us + finished_ns // 1000
            # What gate.finish() does.
            states[0] = FREE
            # What the job has returned may be large, and the next one may be long in coming.
            value = None
            seq += 1
            # The next one starts when this one ended: nothing of note lies between.
            started_ns, started_us = finished_ns, finished_us
        stretch.end(seq, started_ns)
        return True

    def _run_traced(self, run: Callable[[Job], Any], job: Job) -> tuple[int, bytes]:
        """Run a job in a span of its own; its args are as they came. Returns what it came to."""
        try:
            traceparent, args = split(job.args)
            job = job._replace(args=loads(args))
            with span_of(job, traceparent, lane=self._order.lane):
                kind, text = SUCCEEDED, self._encode(run(job))
        except BaseException as error:
            kind, text = self._failure_of(error)
        if self._forked:
            os._exit(0)
        self._capture.restore()
        return kind, text

    def _publish_closely(
        self, kind: int, text: bytes, success: tuple[int, int, int, int, int, int, int], started_ns: int, attempt: int, *, took_long: bool
    ) -> None:
        """Publish the outcome of a job of which more is to be told than that it has succeeded, or that could not be published at once.

        success: what publish_success() is told before the value. took_long: the peak of its memory was measured.
        """
        lease_id, seq, position, job_id, _started_us, _finished_us, finished_ns = success
        log = self._log_of(0, seq, kind) if self._log.seq else b""
        is_short = kind == SUCCEEDED and not took_long and len(text) + len(log) <= self._result_bytes_max
        if not is_short or not self._results.publish_any(*success, text, log):
            peak_bytes = self._peak.read() if took_long or kind == MEMORY else 0
            head = OUTCOME_HEAD.pack(lease_id, job_id, started_ns, finished_ns, seq, peak_bytes, position, attempt)
            kind = self._publish(kind, head, text, log)
        self._stretch.end_before(seq, kind, started_ns, finished_ns)
        if kind == MEMORY:
            self._generation.slots.states[0] = FREE
            self._make_room()

    def _make_room(self) -> None:
        """Leave when what a job has left behind is no garbage: the next one would come up against the limit for it."""
        if self._limit.is_full:
            gc.collect()
            if self._limit.is_full:
                self._leave_full()

    def _look_around(self, seq: int) -> None:
        """Wake the writer if it sleeps, and the supervisor if it wants to know that this job was reached."""
        try:
            self._results.wake_sleeper()
            if self._answered != self._words[REFILL_WORD] <= seq:
                self._ask_for_more()
        except OSError:
            # An earlier job has closed our descriptors: this one has not begun, and is not to be blamed for our end.
            self.gate.finish(0)
            raise

    def _failure_of(self, error: BaseException) -> tuple[int, bytes]:
        """Say what a job came to that raised: (kind, JSON text)."""
        kind, payload = failure_of(error, skip_frames=FARM_FRAMES)
        return self._stopped(0, self._generation.slots.words[SEQ_WORD], kind, payload)

    def heed_stop(self, _signal: int, _frame: FrameType | None) -> None:
        """Cancel the job that runs, if it is one that can be and was asked to end. A signal handler: it may come at any time."""
        if self._awaited is None or self._forked:
            return
        seq, loop, coroutine = self._awaited
        if self._generation.stops.of(0, seq) is not None:
            # A loop that its job has closed has nothing to cancel.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(_cancel, loop, coroutine)

    def _note_awaited(self, loop: AbstractEventLoop, coroutine: Any) -> None:
        seq = self._generation.slots.words[SEQ_WORD]
        self._awaited = seq, loop, coroutine
        # Last: from here on the supervisor sends the signal, before it would have ended this process.
        self._generation.stops.otherwise[0] = seq

    def _pass_gate(self, seq: int) -> bool:
        """Wait until jobs may start; False when these frames are no longer ours: recalled, or no supervisor is left."""
        while self.gate.blocked(linux.boottime_ns()):
            self._wake_writer()
            if self.gate.orphaned:
                return False
            if self.gate.recall_number:
                self._stand_back(seq)
                return False
            self._rest(GATE_SLEEP_S)
        return True

    def _stand_back(self, first_unstarted_seq: int) -> None:
        """Answer a recall, then wait until it is lifted: before that the ring may hold frames that were taken back."""
        answered = 0
        while (number := self.gate.recall_number) and not self.gate.orphaned:
            if number != answered:
                # Lifted and begun anew before we had looked, it is another one, and wants an answer of its own.
                answered = number
                self.gate.acknowledge(first_unstarted_seq)
                self._wake_writer()
                os.eventfd_write(self._supervisor_fd, 1)
            self._rest(SLEEP_S_MAX)

    def _sleep(self) -> None:
        """Sleep until there are frames or a recall. Tells the others first what has become of the last ones: once, not each time that
        it finds again that there is nothing to do."""
        if not self._jobs.arm():
            return
        if self._hungry:
            self._hungry = False
            # arm() has fenced: what was published before is seen by whoever looks, and the writer's flag is seen here.
            self._results.wake_sleeper()
            self._ask_for_more()
        if not self.gate.recall_number:
            self._rest(IDLE_SLEEP_S)
        self._jobs.disarm()

    def _publish(self, kind: int, head: bytes, text: bytes, log: bytes) -> int:
        """Publish an outcome in the long way: it is no success, or too large for the ring, or the ring is full.

        Then it waits until the writer has committed and given back some of it. Returns what the job has come to: perhaps another kind.
        """
        self._generation.slots.lift_deadline(0)
        flags, body = (WHOLE | LOGGED, pack_logged(text, log)) if log else (WHOLE, text)
        if len(body) > self._result_bytes_max:
            kind, flags, body = self._spilled(kind, flags, body)
        payload = head + body
        while not self._results.publish(kind, flags, payload):
            self._wake_writer()
            if self._results.want_space(len(payload)):
                self._wait(SLEEP_S_MAX)
        return kind

    def _rest(self, wait_s: float) -> None:
        """Wait with nothing in the slot. All other time counts as busy, so that it is not counted for each job."""
        self._slot_clock.note(0, monotonic_clock())
        self._wait(wait_s)
        self._slot_clock.note(1, monotonic_clock())

    def _wait(self, wait_s: float) -> None:
        if self._poll.poll(wait_s * 1000):
            with suppress(BlockingIOError):
                os.eventfd_read(self._wake_fd)

    def _spilled(self, kind: int, flags: int, body: bytes) -> tuple[int, int, bytes]:
        """Spill what is too large for the ring: (kind, flags, body). Where the disk has no room for it, that is what the job came to."""
        try:
            name = self._spill.write(body, wait=True)
        except OSError as error:
            return self._unspilled_outcome(kind, flags, body, error)
        assert name is not None, "write() waits for room when it is told to"
        return kind, flags | SPILLED, name


def _cancel(loop: AbstractEventLoop, coroutine: Any) -> None:
    """Cancel the task of this coroutine, if it has not ended. On the loop."""
    from asyncio import all_tasks

    for task in all_tasks(loop):
        if task.get_coro() is coroutine:
            task.cancel()


def run_subworker(order: ForkOrder, descriptors: Descriptors) -> None:
    """Be the subworker of this order, in the process that the zygote forked. Ends the process; returns only on an error."""
    _use_output(descriptors)
    # Where it was when it crashed stands in the log then.
    faulthandler.enable(2)
    generation = GenerationFile.open(Path(order.path))
    linux.name_process(name_of(generation))
    generation.pid_start_time = linux.start_time(os.getpid()) or 0
    generation.pgid = generation.pid = os.getpid()
    try:
        surround(order)
        capture = Capture(order, generation)
        capture.begin()
        subworker = _subworker_of(order)(order, descriptors, generation, capture)
    except BaseException as error:
        generation.tell_reason(reason_of(error, secrets=order.env.values()))
        generation.ready = SETUP_FAILED
        os._exit(70)
    _leave_with_supervisor(order, subworker, descriptors)
    if failpoints.armed("subworker."):
        subworker.fail_at_borders()
    subworker.get_ready()
    try:
        subworker.stand_by()
        subworker.serve()
    except OSError as error:
        with suppress(OSError):
            print(f"farm: this process cannot go on: {error}", file=sys.stderr)
        os._exit(70)
    except MemoryError:
        # Between jobs, or beside them: what they hold leaves nothing for ourselves.
        os._exit(EXHAUSTED)
    sys.stdout.flush()
    os._exit(0)


def _subworker_of(order: ForkOrder) -> type[Workbench]:
    """Return the class of this lane's subworkers. One that runs many jobs at once needs asyncio, which the others do without."""
    if order.concurrency == 1:
        return Subworker
    from farm.subworker.concurrent import ConcurrentSubworker

    return ConcurrentSubworker


def _leave_with_supervisor(order: ForkOrder, subworker: Workbench, descriptors: Descriptors) -> None:
    """Have the kernel tell when the supervisor dies: from then on nothing is started, and prints go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)

    def orphan(_signal: int, _frame: FrameType | None) -> None:
        subworker.gate.orphaned = True
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        with suppress(OSError):
            os.eventfd_write(descriptors.wake, 1)

    for default in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(default, signal.SIG_DFL)
    signal.signal(signal.SIGUSR2, orphan)
    signal.signal(signal.SIGUSR1, subworker.heed_stop)
    linux.signal_at_parent_death(signal.SIGUSR2)
    if os.getppid() != order.supervisor_pid:
        orphan(signal.SIGUSR2, None)


def _use_output(descriptors: Descriptors) -> None:
    """Send what jobs print to the supervisor, line by line. Nothing is read from standard input."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(descriptors.output, 1)
    os.dup2(descriptors.output, 2)
    os.close(nothing)
    os.close(descriptors.output)
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        setattr(sys, name, open(descriptor, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False))  # noqa: SIM115
