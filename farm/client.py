"""How applications file jobs: one at a time, many at once, or inside a transaction of their own."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import psycopg
from psycopg.rows import tuple_row

from farm.errors import InvalidJob
from farm.headway import Progress
from farm.store import schema
from farm.store.cancels import CancelStore
from farm.store.connection import DeadlineConnection
from farm.store.enqueues import EnqueueBatch, SourceFailed
from farm.store.newjobs import NewJob, validate
from farm.store.progress import ProgressStore
from farm.store.retries import RETRY_JOBS_MAX, RetryStore
from farm.store.session import Session
from farm.store.statements import load
from farm.units import format_retry
from farm.waits import Waits, checked_id, no_such_job

if TYPE_CHECKING:
    from farm.embedded import EmbeddedServer

APPLICATION_NAME = "farm client"
DEADLINE_S = 30.0
"""For one round trip of bulk data; an enqueue takes a millisecond."""


def connect(dsn: str | None = None, *, pooled: bool = False) -> Client:
    """Return a client of the database that dsn names, else FARM_DSN, else the embedded one (started if it does not run).

    Connections are opened when needed. pooled: a transaction pooler such as PgBouncer stands between. Raises FarmError.
    """
    dsn = dsn or os.environ.get("FARM_DSN")
    if dsn:
        return Client(dsn, pooled=pooled)
    from farm.embedded import open_server
    from farm.home import farm_home

    server = open_server(farm_home())
    client = Client(server.dsn, server=server)
    try:
        with client._borrow() as session:
            schema.migrate(session)
    except BaseException:
        client.close()
        raise
    return client


class Client:
    """Files jobs. May be shared by threads: each call uses a connection that no other call is using, and connections are kept.

    A call that raises StoreUnavailable may or may not have filed its jobs; any other error means that it has not.
    """

    def __init__(self, dsn: str, *, pooled: bool = False, server: EmbeddedServer | None = None) -> None:
        self.dsn = dsn
        self._pooled = pooled
        self._server = server
        self._lock = threading.Lock()
        self._closed = False
        self._owner_pid = os.getpid()
        self._idle: list[Session] = [self._session()]
        self._waits: Waits | None = None

    def enqueue(
        self,
        task: str,
        args: Mapping[str, Any] | list[Any] | tuple[Any, ...] = (),
        *,
        queue: str = "default",
        runner: str | None = None,
        priority: int | None = None,
        delay_s: float | None = None,
        run_at: datetime | None = None,
        max_attempts: int | None = None,
        timeout_s: float | None = None,
        memory: str | int | None = None,
        retry: str | float | None = None,
        expires_s: float | None = None,
        expires_at: datetime | None = None,
        traceparent: str | None = None,
        connection: psycopg.Connection[Any] | None = None,
    ) -> int:
        """File a job and return its id.

        args: a dict gives keyword arguments, a list or tuple positional ones; JSON values only. runner: None means `python` for a
        task like `module:function`. priority: 0 (most urgent) to 9, None means 4. run_at: needs a time zone. retry: how long to wait
        before a retry, always (`10s`) or longer each time (`1s to 10m`). expires_s, expires_at: not started any more after so long, or
        after that time. traceparent: the span that the job's is to stand under, as W3C Trace Context writes it. With connection,
        the job is filed in the transaction that is open there, and is there when that commits.
        Raises InvalidJob, StoreError.
        """
        params = {
            "task": task,
            "args": args,
            "queue": queue,
            "runner": runner,
            "priority": priority,
            "delay_s": delay_s,
            "run_at": run_at,
            "max_attempts": max_attempts,
            "timeout_s": timeout_s,
            "memory": memory,
            "retry": retry,
            "expires_s": expires_s,
            "expires_at": expires_at,
            "traceparent": traceparent,
        }
        valid = validate(params)
        params["args"] = valid.args.decode()
        params["memory"] = f"{valid.memory_mb}MB" if valid.memory_mb else None
        params["retry"] = format_retry(*valid.retry_ms) if valid.retry_ms else None
        if connection is not None:
            with _naming_the_argument(), connection.cursor(row_factory=tuple_row) as cursor:
                row = cursor.execute(load("enqueue_job"), params).fetchone()
            assert row is not None
            return int(row[0])
        with self._borrow() as session, _naming_the_argument():
            try:
                return int(session.fetch("enqueue_job", params)[0][0])
            except psycopg.errors.CheckViolation:
                # No farm has been running to make partitions ahead.
                session.fetch("keep_partitions_ahead")
                return int(session.fetch("enqueue_job", params)[0][0])

    def enqueue_many(self, jobs: Iterable[NewJob | Mapping[str, Any]], *, connection: psycopg.Connection[Any] | None = None) -> list[int]:
        """File many jobs, all or none, and return their ids in order. Far faster than one by one.

        Each is a dict with the arguments of enqueue: {"task": ..., "args": ...}. A generator is read piece by piece, while a
        transaction is open. Raises InvalidJob naming the element, as in `jobs[3].priority: expected 0 to 9, got 11`; StoreError.
        """
        if connection is None:
            return [job_id for ids in self.enqueue_stream(jobs) for job_id in ids]
        batch = EnqueueBatch(connection, elsewhere=self._fetch, own=False)
        with _naming_the_argument(), connection.transaction():
            batch.add(jobs)
        return [job_id for ids in batch.ids for job_id in ids]

    def enqueue_stream(
        self, jobs: Iterable[NewJob | Mapping[str, Any]], *, where: Callable[[int], str] = lambda index: f"jobs[{index}]."
    ) -> list[range]:
        """File as many jobs as there are, all or none, like enqueue_many; returns their ids as ranges, in order.

        So memory is bounded, whatever their number. where(index) begins the message about a bad job.
        """
        with self._borrow() as session, _naming_the_argument():

            def unit(own: DeadlineConnection) -> list[range]:
                def refresh() -> None:
                    own.deadline = monotonic() + session.deadline_s

                batch = EnqueueBatch(own, elsewhere=self._fetch, own=True, refresh=refresh, where=where)
                with own.transaction():
                    own.execute(load("wait_for_jobs"))
                    batch.add(jobs)
                return batch.ids

            return session.run(unit)

    def cancel(self, job_id: int, reason: str | None = None) -> str:
        """Cancel a job: it ends as cancelled, with this reason (at most 1000 characters).

        Returns what is the case when this returns: `cancelled`, it had not started and is final; `asked`, a host has it, and ends it
        soon, unless it ends by itself before that; `ended`, it had ended, which stands. Raises NoSuchJob, StoreError.
        """
        checked_id(job_id)
        if reason is not None and not isinstance(reason, str):
            raise TypeError(f"reason: expected a text, got {reason!r:.80}")
        with self._borrow() as session:
            report = CancelStore(session).cancel([job_id], reason and reason.replace("\0", ""))
        if report.unknown:
            raise no_such_job(job_id)
        return "cancelled" if report.cancelled else "asked" if report.asked else "ended"

    def wait(self, job_id: int, timeout_s: float | None = None) -> Any:
        """Wait until a job has ended and return its result; None for timeout_s: however long that takes.

        All waits of a client share one connection and one thread. A database that is away is waited for, up to a minute. Raises
        JobFailed with the error of the last attempt, JobCancelled, NoSuchJob, WaitTimeout (a TimeoutError; the job goes on), StoreError.
        """
        return self.waits().wait(job_id, timeout_s)

    def progress(self, job_id: int) -> Progress | None:
        """Return what a running job has said last with farm.progress, a second old at the most; None if it has not, or does not run.

        Raises StoreError.
        """
        with self._borrow() as session:
            return ProgressStore(session).read([checked_id(job_id)]).get(job_id)

    def retry(self, job_ids: Iterable[int], *, by: str | None = None) -> list[int]:
        """Make jobs ready again that have failed or were cancelled, and return those; others are left alone.

        A job keeps its id and its history, its attempts are counted from 1 again, and who waits for it waits for its new end. by: who
        wants it, for its history (the user of the database, if nobody is named). Up to 1,000 jobs are one transaction, more are
        several. Raises StoreError.
        """
        ids = sorted({checked_id(job_id) for job_id in job_ids})
        again: list[int] = []
        with self._borrow() as session:
            for start in range(0, len(ids), RETRY_JOBS_MAX):
                again += RetryStore(session).retry(ids[start : start + RETRY_JOBS_MAX], by=by and by.replace("\0", ""))
        return again

    def waits(self) -> Waits:
        """Return what waits for jobs; its futures serve those who cannot block."""
        with self._lock:
            self._look_for_fork()
            if self._waits is None:
                assert not self._closed, "the client is closed"
                self._waits = Waits(self._session(), listens=not self._pooled)
            return self._waits

    def close(self) -> None:
        """Close every connection, and leave the embedded server to its other users. May be called again."""
        with self._lock:
            sessions, self._idle = self._idle, []
            server, self._server = self._server, None
            waits, self._waits = self._waits, None
            self._closed = True
        if waits is not None:
            waits.close()
        for session in sessions:
            session.close()
        if server is not None:
            server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _session(self) -> Session:
        return Session(self.dsn, application_name=APPLICATION_NAME, deadline_s=DEADLINE_S, pooled=self._pooled, keeps_plans=True)

    @contextmanager
    def _borrow(self) -> Iterator[Session]:
        with self._lock:
            assert not self._closed, "the client is closed"
            self._look_for_fork()
            session = self._idle.pop() if self._idle else self._session()
        try:
            yield session
        finally:
            with self._lock:
                keep = not self._closed
                if keep:
                    self._idle.append(session)
            if not keep:
                session.close()

    def _look_for_fork(self) -> None:
        """After a fork, the connections are the parent's: to use or close them here would break them there."""
        if os.getpid() != self._owner_pid:
            _abandoned.extend((*self._idle, self._waits))
            self._idle, self._waits, self._owner_pid = [], None, os.getpid()

    def _fetch(self, name: str, params: Mapping[str, Any] | None = None) -> tuple[Any, ...]:
        """Run a statement of one row on a connection of its own."""
        with self._borrow() as session:
            return tuple(session.fetch(name, params)[0])


_abandoned: list[Session | Waits | None] = []


@contextmanager
def _naming_the_argument() -> Iterator[None]:
    """The function in the database refuses in our own words; JSON that is none, such as a wrong orjson.Fragment, in PostgreSQL's."""
    try:
        yield
    except SourceFailed as failed:
        raise failed.error from failed.error.__cause__
    except psycopg.errors.InvalidParameterValue as error:
        raise InvalidJob(error.diag.message_primary or str(error)) from error
    except psycopg.DataError as error:
        raise InvalidJob(f"args: expected what PostgreSQL can store: {error.diag.message_primary or error}") from error
