"""Many new jobs at once, by COPY, inside somebody's transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from struct import Struct
from typing import Any, cast

import psycopg
from psycopg.rows import tuple_row

from farm.store.newjobs import ValidJob, validate
from farm.store.outcomes import COPY_HEAD, COPY_TAIL
from farm.store.statements import load

CHUNK_JOBS_MAX = 10_000
CHUNK_BYTES_MAX = 16 << 20
"""What is held in memory at a time, whatever the length of a generator."""

PARTITIONS_AHEAD = 2

_NULL = b"\xff\xff\xff\xff"
_job = Struct(">hiqiiih").pack
_ready = Struct(">hihiiihiq").pack
_scheduled = Struct(">hihiqiqiiihihih").pack
_int2 = Struct(">ih").pack
_int4 = Struct(">ii").pack
_int8 = Struct(">iq").pack


class EnqueueBatch:
    """One enqueue of many jobs on one connection, in one transaction that is not its own.

    make_partitions(up_to) is called, on another connection, before ids are used that have none. find_class(queue, runner) too looks
    elsewhere, since a class that is made in a long transaction would hold up everybody who needs the same; None: look here, where
    the transaction is the caller's and may see another database. refresh() is called before every piece of work, to push a
    deadline back.
    """

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        *,
        make_partitions: Callable[[int], None],
        find_class: Callable[[str, str], int] | None = None,
        refresh: Callable[[], None] = lambda: None,
    ) -> None:
        self._connection = connection
        self._make_partitions = make_partitions
        self._find_class = find_class or self._find_class_here
        self._refresh = refresh
        self._class_ids: dict[tuple[str, str], int] = {}
        self._ready: set[tuple[int, int]] = set()
        """The (class, priority) pairs that can be claimed at once."""
        self._first_due_us: int | None = None
        self.job_ids: list[int] = []

    def add(self, jobs: Iterable[Mapping[str, Any]]) -> None:
        """Store the jobs and wake whom they concern. Raises InvalidJob naming the element; then the transaction must be rolled back."""
        for chunk in _chunks(jobs):
            self._refresh()
            self._add_chunk(chunk)
        if self.job_ids:
            classes, priorities = zip(*self._ready, strict=True) if self._ready else ((), ())
            self._fetch("wake", {"classes": list(classes), "priorities": list(priorities), "due_us": self._first_due_us})

    def _add_chunk(self, chunk: list[ValidJob]) -> None:
        class_ids = [self._class_id(job.queue, job.runner) for job in chunk]
        ids, now_us, end_id = self._fetch("allot_ids", {"count": len(chunk)})
        if ids[-1] >= end_id:
            self._make_partitions(ids[-1])
        rows, ready, scheduled = [], [], []
        for job, job_id, class_id in zip(chunk, ids, class_ids, strict=True):
            due_us = job.due_us if job.delay_us is None else now_us + job.delay_us
            rows.append(_job_row(job, job_id, class_id, due_us))
            if due_us is None or due_us <= now_us:
                self._ready.add((class_id, job.priority))
                ready.append(_ready(4, 2, 0, 4, class_id, 2, job.priority, 8, job_id))
            else:
                scheduled.append(_scheduled(7, 2, 0, 8, due_us, 8, job_id, 4, class_id, 2, job.priority, 2, 0, 2, 0))
                self._first_due_us = due_us if self._first_due_us is None else min(due_us, self._first_due_us)
        self._copy("copy_jobs", rows)
        self._copy("copy_ready", ready)
        self._copy("copy_scheduled", scheduled)
        self.job_ids.extend(ids)

    def _class_id(self, queue: str, runner: str) -> int:
        found = self._class_ids.get((queue, runner))
        if found is None:
            found = self._class_ids[queue, runner] = self._find_class(queue, runner)
        return found

    def _find_class_here(self, queue: str, runner: str) -> int:
        return cast(int, self._fetch("find_class", {"queue": queue, "runner": runner})[0])

    def _fetch(self, name: str, params: Mapping[str, Any]) -> tuple[Any, ...]:
        with self._connection.cursor(row_factory=tuple_row) as cursor:
            row = cursor.execute(load(name), params).fetchone()
        assert row is not None
        return row

    def _copy(self, name: str, rows: list[bytes]) -> None:
        if rows:
            with self._connection.cursor() as cursor, cursor.copy(load(name)) as copy:
                copy.write(b"".join((COPY_HEAD, *rows, COPY_TAIL)))


def _chunks(jobs: Iterable[Mapping[str, Any]]) -> Iterator[list[ValidJob]]:
    chunk: list[ValidJob] = []
    size = 0
    for index, job in enumerate(jobs):
        valid = validate(job, f"jobs[{index}].")
        chunk.append(valid)
        size += len(valid.args)
        if len(chunk) >= CHUNK_JOBS_MAX or size >= CHUNK_BYTES_MAX:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _job_row(job: ValidJob, job_id: int, class_id: int, due_us: int | None) -> bytes:
    return b"".join(
        (
            _job(8, 8, job_id, 4, class_id, 2, job.priority),
            _NULL if job.max_attempts is None else _int2(2, job.max_attempts),
            _NULL if job.timeout_ms is None else _int4(4, job.timeout_ms),
            _NULL if due_us is None else _int8(8, due_us),
            len(job.task).to_bytes(4, "big"),
            job.task,
            (len(job.args) + 1).to_bytes(4, "big"),
            b"\x01",
            job.args,
        )
    )
