"""What jobs print, from the first word to the end of their attempt: who holds their logs, and that all is set back for the next job."""

from __future__ import annotations

import faulthandler
import fcntl
import os
import sys
from collections.abc import Callable
from contextlib import suppress

from farm.errors import FarmError
from farm.joblog import Logs
from farm.shm.generation import GenerationFile
from farm.shm.logtails import LogTails, path_of
from farm.shm.slots import RUNNING
from farm.subworker.joblog import JobLog
from farm.subworker.limits import above_all_others
from farm.subworker.order import ForkOrder
from farm.subworker.output import JobOutput, use_logging
from farm.subworker.reports import SEQ_COLUMN, job_of_caller


class Capture:
    """The logs of one subworker. Until begin(), and in lanes that keep none, what is printed goes where it went before."""

    def __init__(self, order: ForkOrder, generation: GenerationFile) -> None:
        self._logs = Logs(order.logs)
        self._limit_bytes = order.log_limit_bytes
        self._generation = generation
        self.keeps_successes = self._logs is Logs.ON
        self.streams = (sys.stdout, sys.stderr)
        """What is to stand as sys.stdout and sys.stderr when a job begins."""
        self._tails: LogTails | None = None
        self._of_slots: dict[int, JobLog] = {}
        self.written: set[int] = set()
        """Where many jobs run beside each other, the slots whose job has printed something that was not taken yet."""

    def begin(self) -> None:
        """Take what jobs print from now on. Before anything of the user's is imported: it may keep a stream for later."""
        if self._logs is Logs.OFF:
            return
        # Without shared memory for it nobody can look at a log before its job has ended; all else is the same.
        with suppress(FarmError, OSError):
            path, slots = path_of(self._generation.path), self._generation.slots.count
            self._tails = LogTails.create(path, slots=slots, limit_bytes=self._limit_bytes)
            _leave_word_in(self._tails)
        is_sole = self._generation.slots.count == 1
        take = self._take_sole if is_sole else self._take_of_caller
        self.streams = (JobOutput(sys.stdout, take), JobOutput(sys.stderr, take))
        sys.stdout, sys.stderr = self.streams
        if is_sole:
            for stream in self.streams:
                # In the place of the methods: they are called twice for every print.
                vars(stream)["write"] = self._sole_write(stream.write)
                vars(stream)["flush"] = self._sole_flush(stream.flush)
        use_logging()

    def log_of(self, slot: int) -> JobLog:
        """Return the log of a slot."""
        log = self._of_slots.get(slot)
        if log is None:
            log = self._of_slots.setdefault(slot, JobLog(self._tails, slot, limit_bytes=self._limit_bytes))
        return log

    def taken(self, slot: int, seq: int) -> bytes:
        """Return the log of a job that has ended, b"" if it has printed nothing."""
        self.written.discard(slot)
        return self.log_of(slot).take(seq)

    def restore(self) -> None:
        """Set back streams that a job has replaced, or removed."""
        sys.stdout, sys.stderr = self.streams

    def note_fork(self) -> None:
        """In the child of a fork that a job made: it prints past the logs, as every other program that a job starts."""
        for stream in self.streams:
            if isinstance(stream, JobOutput):
                stream.pass_on()

    def _take_sole(self, data: bytes) -> bool:
        slots = self._generation.slots
        # A thread that an earlier job has left behind may print when nothing runs.
        if slots.states[0] != RUNNING:
            return False
        log = self.log_of(0)
        if log.part:
            log.push()
        log.write(slots.words[SEQ_COLUMN], data)
        return True

    def _sole_write(self, write_otherwise: Callable[[str], int]) -> Callable[[str], int]:
        """Return what prints where only one job runs.

        A text without the end of its line is held until that comes: print() writes the two one after the other.
        """
        log, words, encode = self.log_of(0), self._generation.slots.words, str.encode
        write_log = log.write

        def write(text: str) -> int:
            seq = words[SEQ_COLUMN]
            # It has printed before, so it runs: its end takes the log.
            if seq != log.seq:
                return write_otherwise(text)
            part = log.part
            if not part and text[-1:] != "\n":
                log.part = text
            elif part:
                log.part = ""
                write_log(seq, encode(part + text, "utf-8", "backslashreplace"))
            else:
                write_log(seq, encode(text, "utf-8", "backslashreplace"))
            return len(text)

        return write

    def _sole_flush(self, flush_otherwise: Callable[[], None]) -> Callable[[], None]:
        log, words = self.log_of(0), self._generation.slots.words

        def flush() -> None:
            flush_otherwise()
            if log.part and words[SEQ_COLUMN] == log.seq:
                log.push()

        return flush

    def _take_of_caller(self, data: bytes) -> bool:
        """Take what a job prints, or a task or thread that has its context."""
        job = job_of_caller.get(None)
        if job is None:
            return False
        slot, seq = job[:2]
        slots = self._generation.slots
        if slots.states[slot] != RUNNING or slots.words[SEQ_COLUMN * slots.count + slot] != seq:
            return False
        self.log_of(slot).write(seq, data)
        self.written.add(slot)
        return True


def _leave_word_in(tails: LogTails) -> None:
    """Have the interpreter say there what it was at, should it crash: whose log that belongs to is known to who buries this process."""
    opened = tails.open_crash()
    try:
        # Where no file comes to be that a job opens. For the life of the process.
        faulthandler.enable(fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, above_all_others() - 1))
    finally:
        os.close(opened)
