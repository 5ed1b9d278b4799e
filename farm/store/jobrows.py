"""New jobs as rows for COPY, all but their ids, which stand last in each row. The hot path of a bulk enqueue: no I/O, no clock.

Most jobs of a bulk differ in nothing but their arguments. What else they say is their *kind*: it is checked and packed once, and
found again by its values. A *shape* is the options that a job names, in their order: it knows how to get at those values.

Rows of `job` are *wide*, with the options that few jobs have, from the first job on that has one of them; bulks without such a job
pay nothing for what they do not use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from operator import itemgetter
from struct import Struct
from typing import Any, NamedTuple

import orjson

from farm.model import ARGS_BYTES_MAX, JSON_DEPTH_MAX
from farm.store.newjobs import ENCODING, ValidJob, refuse_expired, validate

KINDS_MAX = 1000
"""As many are kept; with more of them in one bulk, which is rare, the cache is begun anew."""

_FIELDS_OF_JOB = 8
_FIELDS_OF_WIDE_JOB = _FIELDS_OF_JOB + 4
_NULL = b"\xff\xff\xff\xff"
_job = Struct(">hiiih").pack
_ready = Struct(">hihiiih").pack
_scheduled = Struct(">hihiqiiihihih").pack
_expiry = Struct(">hihiq").pack
_int2 = Struct(">ih").pack
_int4 = Struct(">ii").pack
_int8 = Struct(">iq").pack
_args = Struct(">iB").pack
_WIDE = Struct(">h").pack(_FIELDS_OF_WIDE_JOB)
_NO_OPTIONS = 4 * _NULL
_JSONB_VERSION = 1

SHORT_BYTES = JSON_DEPTH_MAX
"""Shorter arguments cannot be too deep, since each level takes a byte; what stands before them is kept ready."""

_CONTAINERS = (dict, list, tuple)
_TEXTS = frozenset({"task", "queue", "runner"})
_OWN = frozenset({"delay_s", "run_at", "expires_s", "expires_at", "traceparent"})
"""Options whose values hardly two jobs share."""


class Kind(NamedTuple):
    """All but the arguments of jobs that can be claimed at once."""

    job: bytes
    """Its row of job up to the arguments."""
    ready: bytes
    """Its row of ready up to the id."""


class Shape(NamedTuple):
    """What jobs with the same options are found by."""

    values: Callable[[Mapping[str, Any]], Any]
    """Gives the values of all options but the arguments."""
    kinds: dict[Any, Kind]
    has_args: bool


class Rows:
    """The rows of a chunk of jobs, each up to its id; place i of the lists is the same job's."""

    def __init__(self) -> None:
        self.jobs: list[bytes] = []
        self.places: list[bytes] = []
        """Rows of `ready`, but for the indexes in `later`: those are rows of `scheduled`."""
        self.later: list[int] = []
        self.wide = False
        """Whether `jobs` are rows for copy_wide_jobs, else for copy_jobs."""
        self.expiries: list[bytes] = []
        self.expiring: list[int] = []
        """Rows of `expiry`, and the indexes of their jobs."""

    def widen(self) -> None:
        """Make the rows of `job` wide."""
        if not self.wide:
            self.wide = True
            self.jobs[:] = [_widened(row, _NO_OPTIONS) for row in self.jobs]


class RowMaker:
    """Turns jobs into rows, for one transaction.

    now_us is that transaction's time, in microseconds since 2000. find_class(queue, runner, memory_mb) is called once for each class.
    where(index) begins the message about what is wrong with a job.
    """

    def __init__(self, *, now_us: int, find_class: Callable[[str, str, int], int], where: Callable[[int], str]) -> None:
        self._now_us = now_us
        self._find_class = find_class
        self._where = where
        self._index = -1
        self._class_ids: dict[tuple[str, str, int], int] = {}
        self._shapes: dict[tuple[str, ...], Shape] = {}
        self._kinds = 0
        self._wide = False
        self.runnable: set[tuple[int, int]] = set()
        """The (class, priority) pairs that can be claimed at once."""
        self.first_due_us: int | None = None

    def take(self, rows: Rows, jobs: Iterator[Mapping[str, Any]], *, jobs_max: int, bytes_max: int) -> None:
        """Add jobs to rows until so many, or so much, were added; none at the end. Raises InvalidJob, and what the iterator raises."""
        if self._wide:
            rows.widen()
        add_job, add_place, shapes, args_heads = rows.jobs.append, rows.places.append, self._shapes, _SHORT_HEADS
        dumps, encoding, containers = orjson.dumps, ENCODING, _CONTAINERS
        last, left, index = self._index + jobs_max, bytes_max, self._index
        for index, job in enumerate(jobs, self._index + 1):
            try:
                values, kinds, has_args = shapes[tuple(job)]
                head, place = kinds[values(job)]
                args = job["args"] if has_args else ()
                text = dumps(args, None, encoding)
                size = len(text)
                args_head = args_heads[size] if size < SHORT_BYTES else _args_head(size)
                # `in` would take three times as long as `find`: it asks first whether it was given a number.
                is_odd = text.find(b"null") != -1 or text.find(b"\\u0000") != -1 or (size >= SHORT_BYTES and _may_be_too_much(text))
                is_known = not is_odd and type(args) in containers
            except Exception:
                # Whatever it is, a closer look finds and names it.
                is_known = False
            if is_known:
                add_job(head + args_head + text)
                add_place(place)
            else:
                size = self._take_closely(rows, index, job)
            left -= size
            if index == last or left <= 0:
                break
        self._index = index

    def _take_closely(self, rows: Rows, index: int, job: Mapping[str, Any]) -> int:
        """Check everything about a job and take it; returns the size of its arguments."""
        valid = validate(job, self._where(index))
        class_id = self._class_id(valid)
        due_us, expires_us = valid.times(self._now_us)
        if expires_us is not None:
            refuse_expired(job, valid, self._now_us, self._where(index))
            rows.expiring.append(len(rows.places))
            rows.expiries.append(_expiry(3, 2, 0, 8, expires_us))
        if not self._wide and (expires_us is not None or valid.retry_ms is not None or valid.traceparent is not None):
            self._widen(rows)
        head = _job_head(valid, class_id, due_us)
        kind = Kind(_widened(head, _options(valid, expires_us)) if self._wide else head, _ready(4, 2, 0, 4, class_id, 2, valid.priority))
        rows.jobs.append(kind.job + _args_head(len(valid.args)) + valid.args)
        if due_us is not None and due_us > self._now_us:
            rows.later.append(len(rows.places))
            rows.places.append(_scheduled(7, 2, 0, 8, due_us, 4, class_id, 2, valid.priority, 2, 0, 2, 0))
            self.first_due_us = due_us if self.first_due_us is None else min(due_us, self.first_due_us)
        else:
            rows.places.append(kind.ready)
            self.runnable.add((class_id, valid.priority))
            if due_us is None and type(job) is dict:
                self._remember(job, kind)
        return len(valid.args)

    def _widen(self, rows: Rows) -> None:
        """Make wide rows from now on; the kinds that are known are not."""
        self._wide = True
        self._forget_kinds()
        rows.widen()

    def _class_id(self, job: ValidJob) -> int:
        key = (job.queue, job.runner, job.memory_mb)
        found = self._class_ids.get(key)
        if found is None:
            found = self._class_ids[key] = self._find_class(*key)
        return found

    def _remember(self, job: Mapping[str, Any], kind: Kind) -> None:
        """Know the next job of the kind, unless there will hardly be one."""
        names = tuple(job)
        if not _OWN.isdisjoint(names):
            return
        if self._kinds >= KINDS_MAX:
            self._forget_kinds()
        shape = self._shapes.get(names)
        if shape is None:
            shape = self._shapes[names] = Shape(_values_getter([name for name in names if name != "args"]), {}, "args" in names)
        shape.kinds[shape.values(job)] = kind
        self._kinds += 1

    def _forget_kinds(self) -> None:
        self._shapes.clear()
        self._kinds = 0


def _values_getter(names: list[str]) -> Callable[[Mapping[str, Any]], Any]:
    """Return what gives a key of a job's values. True, 1 and 1.0 are equal, and only one of them is a priority: so types go along."""
    values = itemgetter(*names)
    if _TEXTS.issuperset(names):
        return values
    return lambda job: (*(found := values(job)), *map(type, found))


def _may_be_too_much(text: bytes) -> bool:
    """Say whether arguments may be too long or too deep."""
    return len(text) > ARGS_BYTES_MAX or text.count(b"[") + text.count(b"{") > JSON_DEPTH_MAX


def _args_head(size: int) -> bytes:
    return _args(size + 1, _JSONB_VERSION)


_SHORT_HEADS = [_args_head(size) for size in range(SHORT_BYTES)]


def _job_head(job: ValidJob, class_id: int, due_us: int | None) -> bytes:
    return b"".join(
        (
            _job(_FIELDS_OF_JOB, 4, class_id, 2, job.priority),
            _NULL if job.max_attempts is None else _int2(2, job.max_attempts),
            _NULL if job.timeout_ms is None else _int4(4, job.timeout_ms),
            _NULL if due_us is None else _int8(8, due_us),
            len(job.task).to_bytes(4, "big"),
            job.task,
        )
    )


def _widened(row: bytes, options: bytes) -> bytes:
    """Return the row of a wide job, of which the options come first."""
    return _WIDE + options + row[len(_WIDE) :]


def _options(job: ValidJob, expires_us: int | None) -> bytes:
    base_ms, cap_ms = job.retry_ms or (None, None)
    return b"".join(
        (
            _NULL if base_ms is None else _int4(4, base_ms),
            _NULL if cap_ms is None else _int4(4, cap_ms),
            _NULL if expires_us is None else _int8(8, expires_us),
            _NULL if job.traceparent is None else len(job.traceparent).to_bytes(4, "big") + job.traceparent,
        )
    )
