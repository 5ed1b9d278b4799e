"""The files that a supervisor shares with its crew: one per subworker generation, one each for its desk and for acks.

A generation file is `[header page][slots][job ring][result ring][stops][progress][tallies]`. A respawned subworker gets a new file, so no
word of a dead process is ever used again. Only the two parties of a file write into it; a new supervisor reads old files and changes
nothing.

| byte | written by | words of 8 bytes |
|---|---|---|
| 0 | creator | magic, version, number of slots, bytes of the job ring, bytes of the result ring; host_id (supervisor) |
| 128 | subworker | pid, pid_start_time, pgid, ready, baseline_bytes: at its start |
| 256 | supervisor | recall |
| 384 | supervisor | gate_ns, clock_us |
| 512 | subworker | ack_seq, ack |
| 640 | subworker | marked |
| 768 | writer | broken |
| 896 | supervisor | refill, post; in its desk file: waiters_ns |
| 1024 | writer, in its ack file | what its commits came to, to the end of the page (farm/shm/counters.py) |
| 1152 | supervisor | stopping |
| 1280 | subworker | reason_bytes: before it leaves; from byte 2048 on the text itself |
| 1408 | subworker | the time of its slots (farm/shm/slottime.py) |
| 1536 | subworker | crowded, and the ids of the last 15 such jobs |
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self, overload

from farm.errors import RingBroken
from farm.model import CONCURRENCY_MAX
from farm.shm.mapping import MappedFile
from farm.shm.progress import ProgressTable, progress_bytes
from farm.shm.ring import format_ring, ring_bytes
from farm.shm.slots import SlotTable, slot_bytes
from farm.shm.slottime import SlotTime, read_slot_time
from farm.shm.stops import StopTable, stops_bytes
from farm.shm.tallies import TALLIES_BYTES, TallyTable

PAGE_BYTES: Final = 4096
JOB_RING_BYTES: Final = 256 << 10
RESULT_RING_BYTES: Final = 1 << 20
ACK_RING_BYTES: Final = 256 << 10
SLOTS_MAX: Final = CONCURRENCY_MAX
VERSION: Final = 5
_GENERATION_MAGIC: Final = int.from_bytes(b"FARMGEN1", "little")
_RING_FILE_MAGIC: Final = int.from_bytes(b"FARMRNF1", "little")

_MAGIC, _VERSION, _SLOTS, _JOB_BYTES, _RESULT_BYTES, _HOST_ID = range(6)
RECALL_WORD: Final = 32
GATE_WORD: Final = 48
CLOCK_WORD: Final = 49
ACK_SEQ_WORD: Final = 64
ACK_WORD: Final = 65
MARKED_WORD: Final = 80
REFILL_WORD: Final = 112
POST_WORD: Final = 113
STOPPING_WORD: Final = 144
CROWDED_WORD: Final = 192
WAITERS_WORD: Final = 112
BROKEN_WORD: Final = 96
REASON_WORD: Final = 160
REASON_AT: Final = 2048
REASON_BYTES_MAX: Final = 1024
"""Room for 300 characters, whatever they are in UTF-8."""

CROWDED_MAX: Final = 15
"""Ids of jobs that are remembered there."""

NOT_READY: Final = 0
READY: Final = 1
"""All is set up: frames may be sent."""
SETUP_FAILED: Final = 2
"""Something cannot be set up; the subworker has left the reason (`tell_reason`), and leaves."""


class Word:
    """An attribute that is one word of the header page: read and written in the file, each as a single store or load."""

    def __init__(self, index: int) -> None:
        self._index = index

    @overload
    def __get__(self, file: None, owner: type) -> Self: ...
    @overload
    def __get__(self, file: HeaderPage, owner: type) -> int: ...
    def __get__(self, file: HeaderPage | None, owner: type) -> Any:
        return self if file is None else file.words[self._index]

    def __set__(self, file: HeaderPage, value: int) -> None:
        file.words[self._index] = value


class HeaderPage:
    """A mapped file that begins with a page of words; what generation files and ring files have in common."""

    host_id = Word(_HOST_ID)
    """The host row under which this file's jobs were claimed."""
    pid = Word(16)
    pid_start_time = Word(17)
    """Clock ticks since boot, field 22 of /proc/PID/stat: with the pid it names a process for ever."""

    def __init__(self, file: MappedFile) -> None:
        self._file = file
        self.path = file.path
        self._views: tuple[memoryview, ...] = ()
        self.words = file.memory[:PAGE_BYTES].cast("Q")
        """The header page, for hot paths. The attributes of this class are the way for all others."""

    def unlink(self) -> None:
        """Remove the name. Processes that have the file mapped keep it."""
        self._file.unlink()

    def close(self) -> None:
        """Unmap the file. Rings that were made over it are to be closed first; until they are, they keep the mapping alive."""
        for view in (*self._views, self.words):
            view.release()
        self._file.close()


class GenerationFile(HeaderPage):
    """The file between the supervisor, one subworker and the writer."""

    pgid = Word(18)
    ready = Word(19)
    """NOT_READY, READY or SETUP_FAILED."""
    baseline_bytes = Word(20)
    """Memory of the subworker after all was set up, before its first job."""
    recall = Word(RECALL_WORD)
    """Number of the recall that stands, 0 = none."""
    gate_ns = Word(GATE_WORD)
    """CLOCK_BOOTTIME after which nothing may start: a host that slept past its lease stops itself. 0 lets nothing start."""
    clock_us = Word(CLOCK_WORD)
    """The database's clock in microseconds since 2000, less CLOCK_MONOTONIC, as the last heartbeat found it: no host's clock is stored."""
    ack_seq = Word(ACK_SEQ_WORD)
    """First sequence that the subworker did not start; holds for the recall named by ack."""
    ack = Word(ACK_WORD)
    marked = Word(MARKED_WORD)
    """Sequence of the last job that was marked."""
    refill = Word(REFILL_WORD)
    """Sequence at whose start the subworker wakes the supervisor, once for each value: few are left then. An idle subworker
    always does. The supervisor stores it before the frames that it speaks of, never after them."""
    post = Word(POST_WORD)
    """Number of the post that it holds, counted from 1; 0: a spare, which waits for one."""
    stopping = Word(STOPPING_WORD)
    """How often a job was asked to stop; stored after the asking (farm/shm/stops.py)."""
    crowded = Word(CROWDED_WORD)
    """How many jobs came up against the memory limit beside others, and are to run alone. The ids of the last ones follow."""
    broken = Word(BROKEN_WORD)
    """1: the writer found that the result ring makes no sense. The supervisor kills the subworker."""

    def __init__(self, file: MappedFile) -> None:
        """Use create() or open()."""
        super().__init__(file)
        slots, job_bytes, result_bytes = self.words[_SLOTS], self.words[_JOB_BYTES], self.words[_RESULT_BYTES]
        jobs_at = PAGE_BYTES + slot_bytes(slots)
        results_at = jobs_at + ring_bytes(job_bytes)
        stops_at = results_at + ring_bytes(result_bytes)
        self.slots = SlotTable(file.memory[PAGE_BYTES:jobs_at], slots)
        self.job_ring = file.memory[jobs_at:results_at]
        """Supervisor to subworker."""
        self.result_ring = file.memory[results_at:stops_at]
        """Subworker to writer."""
        progress_at = stops_at + stops_bytes(slots)
        self.stops = StopTable(file.memory[stops_at:progress_at], slots)
        tallies_at = progress_at + progress_bytes(slots)
        self.progress = ProgressTable(file.memory[progress_at:tallies_at], slots)
        self.tallies = TallyTable(file.memory[tallies_at : tallies_at + TALLIES_BYTES])
        """What its jobs came to, and how long they took."""
        self._page = file.memory[:PAGE_BYTES]
        self._views = (self.job_ring, self.result_ring, self._page)

    @classmethod
    def create(
        cls, path: Path, *, slots: int, host_id: int, job_bytes: int = JOB_RING_BYTES, result_bytes: int = RESULT_RING_BYTES
    ) -> Self:
        """Make the file of a new generation. Raises FarmError if there is no space for it."""
        assert 1 <= slots <= SLOTS_MAX
        file = MappedFile.create(path, generation_bytes(slots, job_bytes, result_bytes))
        with file.memory[:PAGE_BYTES].cast("Q") as words:
            for index, value in enumerate((_GENERATION_MAGIC, VERSION, slots, job_bytes, result_bytes, host_id)):
                words[index] = value
        generation = cls(file)
        format_ring(generation.job_ring, job_bytes)
        format_ring(generation.result_ring, result_bytes)
        return generation

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False) -> Self:
        """Map the file of a generation. Raises FileNotFoundError, or RingBroken if its header makes no sense."""
        file = MappedFile.open(path, bytes_min=PAGE_BYTES, read_only=read_only)
        with file.memory[:PAGE_BYTES].cast("Q") as words:
            magic, version, slots, job_bytes, result_bytes = words[: _RESULT_BYTES + 1]
        sound = (magic, version) == (_GENERATION_MAGIC, VERSION) and 1 <= slots <= SLOTS_MAX
        if not sound or generation_bytes(slots, job_bytes, result_bytes) != len(file.memory):
            file.close()
            raise RingBroken(f"{path} is no generation file of version {VERSION}")
        return cls(file)

    def tell_reason(self, text: str) -> None:
        """Leave word why this subworker cannot work, cut to REASON_BYTES_MAX bytes. Before `ready` is set to SETUP_FAILED."""
        raw = text.encode("utf-8", "backslashreplace")[:REASON_BYTES_MAX]
        self._page[REASON_AT : REASON_AT + len(raw)] = raw
        self.words[REASON_WORD] = len(raw)

    @property
    def reason(self) -> str:
        """What was left there, "" if nothing was. Foreign code may have written here: anything may stand in it."""
        length = min(self.words[REASON_WORD], REASON_BYTES_MAX)
        return bytes(self._page[REASON_AT : REASON_AT + length]).decode("utf-8", "replace")

    def slot_time(self, now_ns: int) -> SlotTime | None:
        """Return how long its slots have been busy, up to now (CLOCK_MONOTONIC); None before it serves."""
        return read_slot_time(self.words, self.slots.count, now_ns)

    def close(self) -> None:
        """Unmap the file, as HeaderPage.close."""
        self.slots.close()
        self.stops.close()
        self.progress.close()
        self.tallies.close()
        super().close()


class RingFile(HeaderPage):
    """A file with one ring: the supervisor's desk (outcomes of its own for the writer), or the acks (writer to supervisor)."""

    waiters_ns = Word(WAITERS_WORD)
    """In the desk's file. CLOCK_MONOTONIC until which somebody waits for the end of a job: the writer then tells with each commit."""

    def __init__(self, file: MappedFile) -> None:
        """Use create() or open()."""
        super().__init__(file)
        self.ring = file.memory[PAGE_BYTES:]
        self._views = (self.ring,)

    @classmethod
    def create(cls, path: Path, *, host_id: int, capacity: int = RESULT_RING_BYTES) -> Self:
        """Make the file and its empty ring. Raises FarmError if there is no space for it."""
        file = MappedFile.create(path, ring_file_bytes(capacity))
        with file.memory[:PAGE_BYTES].cast("Q") as words:
            words[_VERSION] = VERSION
            words[_HOST_ID] = host_id
            words[_MAGIC] = _RING_FILE_MAGIC
        ring_file = cls(file)
        format_ring(ring_file.ring, capacity)
        return ring_file

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False) -> Self:
        """Map the file. Raises FileNotFoundError, or RingBroken if its header makes no sense."""
        file = MappedFile.open(path, bytes_min=PAGE_BYTES, read_only=read_only)
        with file.memory[:PAGE_BYTES].cast("Q") as words:
            sound = (words[_MAGIC], words[_VERSION]) == (_RING_FILE_MAGIC, VERSION)
        if not sound:
            file.close()
            raise RingBroken(f"{path} is no ring file of version {VERSION}")
        return cls(file)


def mark_broken(path: Path) -> None:
    """Set `broken` in a generation file that makes no sense, whatever else stands in it; does nothing if it has no header page."""
    with suppress(RingBroken, OSError):
        file = MappedFile.open(path, bytes_min=PAGE_BYTES)
        with file.memory[:PAGE_BYTES].cast("Q") as words:
            words[BROKEN_WORD] = 1
        file.close()


def generation_bytes(slots: int, job_bytes: int = JOB_RING_BYTES, result_bytes: int = RESULT_RING_BYTES) -> int:
    """Say how many bytes the file of one generation takes."""
    tables = slot_bytes(slots) + stops_bytes(slots) + progress_bytes(slots) + TALLIES_BYTES
    return PAGE_BYTES + ring_bytes(job_bytes) + ring_bytes(result_bytes) + tables


def ring_file_bytes(capacity: int) -> int:
    """Say how many bytes a ring file takes."""
    return PAGE_BYTES + ring_bytes(capacity)
