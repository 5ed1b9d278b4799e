"""Waiting for the ends of jobs: one thread and one listening connection of a client, whatever the number of those who wait."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from functools import partial
from random import uniform
from time import monotonic, sleep
from typing import Any

import orjson

from farm.errors import JobCancelled, JobFailed, NoSuchJob, StoreError, StoreUnavailable, WaitTimeout
from farm.store.ends import CANCELLED, SUCCEEDED, End, EndStore
from farm.store.session import Session
from farm.store.wakeups import Wakeups

POLL_S_MIN, POLL_S = 0.01, 0.25
"""Whoever registers while the commit of its job is on its way is not told: pauses begin short and grow to the safety net's."""
POLL_SHARE = 0.05
"""Looks take this share of the time at the most."""
READ_JOBS_MAX = 5_000
SAY_SO_EVERY_S = 2.0
"""Writers believe for 5 s what they were told, and hear of those who wait for longer with every heartbeat."""
AWAY_S_MAX = 60.0
"""The database may be away for so long before those who wait are told of it."""
BACKOFF_S = (0.05, 0.25)


IDLE_S = 30.0
ID_MAX = (1 << 63) - 1
ID_DIGITS_MAX = 18
"""Any such number is a bigint."""


class _Awaited:
    """A job for which somebody waits."""

    __slots__ = ("due_at", "futures", "pause_s", "registered")

    def __init__(self) -> None:
        self.futures: list[Future[Any]] = []
        self.registered = False
        self.due_at = 0.0
        self.pause_s = POLL_S_MIN


class Waits:
    """Futures of jobs' results. `begin` and `end` may be called by any thread and do not block; the thread in here does all the rest.

    A database that is away is waited for, up to AWAY_S_MAX.
    """

    def __init__(self, session: Session, *, listens: bool) -> None:
        self._session = session
        self._store = EndStore(session)
        self._listens = listens
        self._wakeups = Wakeups(session, "listen_for_ends" if listens else None)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._begun: list[tuple[int, Future[Any]]] = []
        self._ended: list[tuple[int, Future[Any]]] = []
        # From here on the thread's own.
        self._jobs: dict[int, _Awaited] = {}
        self._said_at = float("-inf")
        self._away_since: float | None = None

    def wait(self, job_id: int, timeout_s: float | None) -> Any:
        """Wait for a job to end and return its result. Raises JobFailed, JobCancelled, NoSuchJob, WaitTimeout, StoreError."""
        future = self.begin(job_id)
        try:
            return future.result(timeout_s)
        except FutureTimeout:
            raise timed_out(job_id, timeout_s) from None
        finally:
            self.end(job_id, future)

    def begin(self, job_id: int) -> Future[Any]:
        """Return the future of a job's result; give it to end() when nobody waits for it any more. Raises NoSuchJob for what is no id."""
        checked_id(job_id)
        future: Future[Any] = Future()
        with self._lock:
            assert not self._closed, "the client is closed"
            self._begun.append((job_id, future))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="farm waits", daemon=True)
                self._thread.start()
            self._wakeups.interrupt()
        return future

    def end(self, job_id: int, future: Future[Any]) -> None:
        """Say that nobody waits for this future any more, whatever came of it."""
        if future.done() and not future.cancelled():
            return
        future.cancel()
        with self._lock:
            if not self._closed:
                self._ended.append((job_id, future))
                self._wakeups.interrupt()

    def close(self) -> None:
        """End the thread; those who still wait get a StoreError. May be called again."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._wakeups.interrupt()
        if self._thread is not None:
            self._thread.join()
        self._wakeups.close()
        self._session.close()

    def _run(self) -> None:
        wait_s = 0.0
        while not self._closed:
            try:
                wait_s = self._step(wait_s)
                self._away_since = None
            except StoreUnavailable as error:
                self._note_away(error)
                wait_s = 0.0
            except Exception as error:
                # It would be the same the next time, and who waits must not do so for ever.
                self._fail(error)
                wait_s = IDLE_S
        if self._listens and self._jobs:
            with suppress(StoreError):
                self._store.forget(list(self._jobs))
        self._fail(StoreError("the client was closed"))

    def _step(self, wait_s: float) -> float:
        """Wait to be told, for so long at the most; settle who is told or due. Returns the seconds until the next one is due."""
        payloads = self._wakeups.wait(wait_s)
        if payloads is None:
            # Another server process listens now, under another number.
            for awaited in self._jobs.values():
                awaited.registered = False
        gone = self._take_in()
        told = {int(text) for payload in payloads or () for text in payload.split(",") if text.isdecimal() and len(text) <= ID_DIGITS_MAX}
        now = monotonic()
        due = [job_id for job_id, awaited in self._jobs.items() if awaited.due_at <= now or job_id in told]
        if self._listens:
            fresh = [job_id for job_id, awaited in self._jobs.items() if not awaited.registered]
            due = [job_id for job_id in due if self._jobs[job_id].registered]
            self._register(fresh, now)
        gone.extend(job_id for job_id in self._settle(due, self._store.read) if self._listens and job_id not in told)
        if gone:
            self._store.forget(gone)
        return max(0.0, min((awaited.due_at for awaited in self._jobs.values()), default=now + IDLE_S) - monotonic())

    def _register(self, job_ids: Sequence[int], now: float) -> None:
        """Ask to be told of jobs, and look whether they have ended already."""
        if not job_ids:
            return
        first = now - self._said_at > SAY_SO_EVERY_S
        self._settle(job_ids, partial(self._store.register, first=first))
        if first:
            self._said_at = now
        for job_id in job_ids:
            if job_id in self._jobs:
                self._jobs[job_id].registered = True

    def _take_in(self) -> list[int]:
        """Take in who begins and who ends; returns the registered jobs for which nobody waits any more."""
        with self._lock:
            begun, self._begun = self._begun, []
            ended, self._ended = self._ended, []
        for job_id, future in begun:
            awaited = self._jobs.setdefault(job_id, _Awaited())
            awaited.futures.append(future)
            awaited.due_at = 0.0
        gone = []
        for job_id, future in ended:
            left = self._jobs.get(job_id)
            if left is not None and future in left.futures:
                left.futures.remove(future)
                if not left.futures:
                    del self._jobs[job_id]
                    if left.registered and self._listens:
                        gone.append(job_id)
        return gone

    def _settle(self, job_ids: Sequence[int], ask: Callable[[Sequence[int]], list[End]]) -> list[int]:
        """Ask whether jobs have ended, and resolve the futures of those that have, or do not exist; returns them."""
        settled = []
        for first in range(0, len(job_ids), READ_JOBS_MAX):
            piece = job_ids[first : first + READ_JOBS_MAX]
            begun = monotonic()
            found = {end.job_id: end for end in ask(piece)}
            pause_s_max = max(POLL_S, (monotonic() - begun) / POLL_SHARE)
            for job_id in piece:
                end, awaited = found.get(job_id), self._jobs[job_id]
                if end is not None and end.status is None:
                    awaited.due_at = begun + awaited.pause_s
                    awaited.pause_s = min(2 * awaited.pause_s, pause_s_max)
                    continue
                del self._jobs[job_id]
                settled.append(job_id)
                for future in awaited.futures:
                    _resolve(future, job_id, end)
        return settled

    def _note_away(self, error: StoreUnavailable) -> None:
        now = monotonic()
        self._away_since = self._away_since or now
        if now - self._away_since > AWAY_S_MAX:
            self._away_since = None
            self._fail(error)
        sleep(uniform(*BACKOFF_S))

    def _fail(self, error: Exception) -> None:
        """Give everybody who waits this error."""
        self._take_in()
        jobs, self._jobs = self._jobs, {}
        for awaited in jobs.values():
            for future in awaited.futures:
                if future.set_running_or_notify_cancel():
                    future.set_exception(error)


def timed_out(job_id: int, timeout_s: float | None) -> WaitTimeout:
    """Return the error of a wait that has taken too long."""
    return WaitTimeout(f"job {job_id} has not ended within {timeout_s:g} s; it goes on, and `farm job {job_id}` shows it")


def checked_id(job_id: object) -> int:
    """Return what may be the id of a job. Raises NoSuchJob: sent to the database, it would be an error of all who wait."""
    if not isinstance(job_id, int) or isinstance(job_id, bool) or not 0 < job_id <= ID_MAX:
        raise NoSuchJob(f"there is no job {job_id!a:.80}: an id is a whole number, as an enqueue returns it")
    return job_id


def no_such_job(job_id: int) -> NoSuchJob:
    """Return the error for an id that no job has."""
    return NoSuchJob(f"there is no job {job_id} (a job that is filed in a transaction is there when that commits)")


def _resolve(future: Future[Any], job_id: int, end: End | None) -> None:
    if not future.set_running_or_notify_cancel():
        return
    if end is None:
        future.set_exception(no_such_job(job_id))
    elif end.status == SUCCEEDED:
        future.set_result(orjson.loads(end.value))
    else:
        error = orjson.loads(end.error)
        kind = JobCancelled if end.status == CANCELLED else JobFailed
        future.set_exception(
            kind(
                job_id,
                kind=error.get("type", "Unknown"),
                message=error.get("message", "no reason was given"),
                traceback=error.get("traceback", ""),
                attempts=end.attempts,
            )
        )
