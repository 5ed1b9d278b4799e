"""The process that runs one job again: set up as a subworker of its lane is, it runs that job, says what it came to, and ends.

Arguments: the descriptors that it reads its order from, and writes its answers to, and the process that it ends with.
"""

from __future__ import annotations

import faulthandler
import io
import os
import signal
import sys
import time
from contextlib import suppress
from typing import Any

import runners
from farm import linux
from farm.model import OutcomeKind
from farm.ports import Job, SubworkerContext
from farm.replay.order import ENDED, NOT_SET_UP, READY, ReplayOrder, answer, decoded
from farm.subworker.failures import MEMORY, failure_of, memory_error
from farm.subworker.limits import MemoryLimit, Peak
from farm.subworker.order import ForkOrder
from farm.subworker.preparation import call_setup, reason_of, setting_up, surround
from farm.subworker.results import drop_result, encode_result
from farm.subworker.ways import way_to_run

FARM_FRAMES = 2
"""Frames of the farm on top of every traceback: of this module, and of the runner."""


def main() -> int:
    """Be the one job's process; returns its exit code."""
    faulthandler.enable(2)
    # What it prints goes on as it comes, in the order in which it comes.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)
    order_fd, answer_fd, parent = map(int, sys.argv[1:])
    # Nobody would end it at its time any more, or hear what it came to.
    linux.signal_at_parent_death(signal.SIGKILL)
    if os.getppid() != parent:
        return NOT_SET_UP
    os.set_inheritable(answer_fd, False)
    with open(order_fd, "rb") as orders:
        order = decoded(orders.read())
    fork = order.fork
    try:
        surround(fork)
        runner = _set_up(fork)
        call_setup(fork.setup, wait=None)
    except BaseException as error:
        print(f"farm: {reason_of(error, secrets=fork.env.values())}", file=sys.stderr)
        return NOT_SET_UP
    limit = MemoryLimit(fork.memory_bytes)
    _tell(answer_fd, answer(READY))
    limit.set()
    peak = Peak()
    peak.reset()
    kind, text, took_s, cpu_s = _run(order, runner, limit)
    with suppress(OSError):
        sys.stdout.flush()
    with suppress(OSError):
        sys.stderr.flush()
    _tell(answer_fd, answer(ENDED, outcome=kind, text=text.decode(), took_s=took_s, cpu_s=cpu_s, peak_bytes=_peak_bytes(peak)))
    return 0


def _set_up(fork: ForkOrder) -> Any:
    ((name, options),) = fork.runners
    with setting_up(f"runner {name}"):
        runner = runners.load(name)()
        runner.setup(options, SubworkerContext(lane=fork.lane, concurrency=1, path=tuple(options.get("path", ()))))
    return runner


def _run(order: ReplayOrder, runner: Any, limit: MemoryLimit) -> tuple[int, bytes, float, float]:
    """Run the job: what it came to, its result or error as JSON text, and the seconds that it took on the wall and on the processor."""
    run = way_to_run(runner)
    job = Job(order.job_id, order.task, order.args, order.attempt)
    skip_frames = FARM_FRAMES
    if order.debugger:
        from farm.replay.debugger import DEBUGGER_FRAMES, run_debugged

        run = run_debugged(run, runner, order.task)
        skip_frames += DEBUGGER_FRAMES
    encode = encode_result if order.fork.keep_result else drop_result
    started_s, cpu_started_s = time.monotonic(), time.process_time()
    try:
        kind, text = int(OutcomeKind.SUCCEEDED), encode(run(job))
    except BaseException as error:
        kind, payload = failure_of(error, skip_frames=skip_frames)
        text = memory_error(limit, payload) if kind == MEMORY else payload
    return kind, text, time.monotonic() - started_s, time.process_time() - cpu_started_s


def _peak_bytes(peak: Peak) -> int:
    """Return the most that this process has held since the peak was reset, 0 if that is not known.

    The figure of getrusage, good in a subworker, outlives an exec: here it would be what whoever has started us held just then, if that was
    more.
    """
    if not peak.read():
        return 0
    with suppress(OSError), open("/proc/self/status", "rb") as status:
        for line in status:
            if line.startswith(b"VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def _tell(answer_fd: int, message: bytes) -> None:
    view = memoryview(message)
    while view:
        view = view[os.write(answer_fd, view) :]


if __name__ == "__main__":
    sys.exit(main())
