"""Many new jobs at once, by COPY, inside somebody's transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import compress, repeat
from struct import Struct
from typing import Any, Protocol, cast

import psycopg
from psycopg.rows import tuple_row

from farm.errors import InvalidJob
from farm.store.jobrows import RowMaker, Rows
from farm.store.outcomes import COPY_HEAD, COPY_TAIL
from farm.store.statements import load

CHUNK_JOBS_MAX = 10_000
CHUNK_BYTES_MAX = 16 << 20
"""Three chunks are held in memory at a time at the most, whatever the length of a generator."""
FIRST_JOBS_MAX = 1000
"""The first chunk is small: the database waits for it."""
GROWTH = 4
"""Each chunk is at most so many times the one before."""
PIECE_JOBS = 1000
"""The database stores one piece of a chunk while the next one is put together."""

PARTITIONS_AHEAD = 2

_id = Struct(">iq").pack

Take = Callable[[Rows, int, int], None]
"""Adds so many jobs to rows, and so many bytes of arguments, at the most."""


class SourceFailed(Exception):
    """The iterator of jobs raised an error of psycopg: it speaks of the application's own connection, not of ours."""

    def __init__(self, error: psycopg.Error) -> None:
        self.error = error
        super().__init__(str(error))


class Fetch(Protocol):
    """Runs a statement of one row on a connection that is free."""

    def __call__(self, name: str, params: Mapping[str, Any] | None = None) -> tuple[Any, ...]: ...


class EnqueueBatch:
    """One enqueue of many jobs on one connection, in one transaction that is not its own.

    own: nobody else uses the connection, and `elsewhere` leads to the same database. Then jobs are taken in, and ids allotted, while
    the database stores the jobs before them; and classes are made elsewhere, since one that is made in a long transaction would hold
    up everybody who needs the same. On a caller's connection all that is done here, in between statements: the jobs may be read
    through it. refresh() is called before every piece of work, to push a deadline back. where(index) begins the message about what
    is wrong with a job.
    """

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        *,
        elsewhere: Fetch,
        own: bool,
        refresh: Callable[[], None] = lambda: None,
        where: Callable[[int], str] = lambda index: f"jobs[{index}].",
    ) -> None:
        self._connection = connection
        self._elsewhere = elsewhere
        self._own = own
        self._refresh = refresh
        self._where = where
        self.ids: list[range] = []
        """The ids of the jobs, in order: a single range unless others enqueued meanwhile."""

    def add(self, jobs: Iterable[Mapping[str, Any]]) -> None:
        """Store the jobs and wake whom they concern.

        Raises InvalidJob naming the element, SourceFailed, and whatever else the iterator raises; then the transaction must be rolled back.
        """
        try:
            source = iter(jobs)
        except TypeError:
            raise InvalidJob(f"jobs: expected an iterable of dicts, got {type(jobs).__name__}") from None
        (now_us,) = self._fetch("read_transaction_time")
        maker = RowMaker(now_us=now_us, find_class=self._find_class, where=self._where)

        def take(rows: Rows, jobs_max: int, bytes_max: int) -> None:
            try:
                maker.take(rows, source, jobs_max=jobs_max, bytes_max=bytes_max)
            except psycopg.Error as error:
                raise SourceFailed(error) from error
            self._refresh()

        rows = Rows()
        take(rows, min(FIRST_JOBS_MAX, CHUNK_JOBS_MAX), CHUNK_BYTES_MAX)
        if not rows.jobs:
            return
        if self._own:
            self._store_overlapping(rows, take)
        else:
            self._store_stepwise(rows, take)
        classes, priorities = zip(*maker.runnable, strict=True) if maker.runnable else ((), ())
        self._fetch("wake", {"classes": list(classes), "priorities": list(priorities), "due_us": maker.first_due_us})

    def _store_stepwise(self, rows: Rows, take: Take) -> None:
        """Store all jobs, a chunk at a time."""
        while rows.jobs:
            tails = self._tails(_allot(len(rows.jobs), self._fetch, self._elsewhere))
            self._copy(_copy_of(rows), rows.jobs, tails)
            self._copy("copy_ready", *self._store_rare(rows, tails))
            rows = Rows()
            take(rows, CHUNK_JOBS_MAX, CHUNK_BYTES_MAX)

    def _store_overlapping(self, rows: Rows, take: Take) -> None:
        """Store all jobs, a chunk at a time: while the database stores one, ids are taken for the next, and jobs for the one after it."""
        ids, following = _allot(len(rows.jobs), self._fetch, self._elsewhere), Rows()
        take(following, len(rows.jobs), CHUNK_BYTES_MAX)
        with ThreadPoolExecutor(1, "farm-allot") as thread:
            while rows.jobs:
                allotted = thread.submit(_allot, len(following.jobs), self._elsewhere, self._elsewhere) if following.jobs else None
                after, pieces = Rows(), 2 * -(-len(rows.jobs) // PIECE_JOBS)
                share = -(-min(CHUNK_JOBS_MAX, GROWTH * len(rows.jobs)) // pieces)
                take_some = partial(take, after, share, CHUNK_BYTES_MAX // pieces)
                tails = self._tails(ids)
                self._copy(_copy_of(rows), rows.jobs, tails, meanwhile=take_some)
                self._copy("copy_ready", *self._store_rare(rows, tails), meanwhile=take_some)
                rows, ids, following = following, allotted.result() if allotted else (), after

    def _store_rare(self, rows: Rows, tails: list[bytes]) -> tuple[list[bytes], list[bytes]]:
        """Note what expires, and schedule what is due later; returns heads and tails of the rows of `ready`."""
        self._copy("copy_expiries", rows.expiries, [tails[index] for index in rows.expiring])
        if not rows.later:
            return rows.places, tails
        ready = bytearray(b"\1") * len(tails)
        for index in rows.later:
            ready[index] = 0
        self._copy("copy_scheduled", [rows.places[index] for index in rows.later], [tails[index] for index in rows.later])
        return list(compress(rows.places, ready)), list(compress(tails, ready))

    def _tails(self, ids: Sequence[int]) -> list[bytes]:
        """Note the ids of a chunk, and return them as the last fields of its rows."""
        for taken in (ids,) if isinstance(ids, range) else (range(job_id, job_id + 1) for job_id in ids):
            if self.ids and self.ids[-1].stop == taken.start:
                self.ids[-1] = range(self.ids[-1].start, taken.stop)
            else:
                self.ids.append(taken)
        return list(map(_id, repeat(8), ids))

    def _find_class(self, queue: str, runner: str, memory_mb: int) -> int:
        fetch = self._elsewhere if self._own else self._fetch
        return cast(int, fetch("find_class", {"queue": queue, "runner": runner, "memory_mb": memory_mb})[0])

    def _fetch(self, name: str, params: Mapping[str, Any] | None = None) -> tuple[Any, ...]:
        self._refresh()
        with self._connection.cursor(row_factory=tuple_row) as cursor:
            row = cursor.execute(load(name), params).fetchone()
        assert row is not None
        return row

    def _copy(self, name: str, heads: list[bytes], tails: list[bytes], *, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Copy rows of two parts each, in pieces; meanwhile() is called while the database stores each of them."""
        if not heads:
            return
        with self._connection.cursor() as cursor, cursor.copy(load(name)) as copy:
            copy.write(COPY_HEAD)
            for start in range(0, len(heads), PIECE_JOBS):
                piece = heads[start : start + PIECE_JOBS]
                woven = [b""] * (2 * len(piece))
                woven[::2], woven[1::2] = piece, tails[start : start + PIECE_JOBS]
                self._refresh()
                copy.write(b"".join(woven))
                meanwhile()
            copy.write(COPY_TAIL)
            self._refresh()


def _copy_of(rows: Rows) -> str:
    return "copy_wide_jobs" if rows.wide else "copy_jobs"


def _allot(count: int, fetch: Fetch, elsewhere: Fetch) -> Sequence[int]:
    """Take so many ids, with partitions that they fall into."""
    if not count:
        return ()
    first_id, last_id, end_id = fetch("allot_ids", {"count": count})
    ids: Sequence[int] = range(first_id, last_id + 1)
    if len(ids) != count:
        # Somebody else was allotted some of these. Taking a list costs more; these are given up.
        ids, end_id = fetch("allot_id_list", {"count": count})
    if ids[-1] >= end_id:
        elsewhere("ensure_partitions", {"up_to": ids[-1], "ahead": PARTITIONS_AHEAD})
    return ids
