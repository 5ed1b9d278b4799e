"""The one way out of a lease for its owner: many outcomes in one transaction, fenced by lease and position."""

from __future__ import annotations

import json
import struct
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import psycopg

from farm.errors import StoreError, StoreUnavailable
from farm.failpoints import passing
from farm.joblog import in_ascii
from farm.model import CommitReport, FailedAttempt, Outcome, OutcomeKind, Outcomes
from farm.retry import Policies
from farm.store.connection import DeadlineConnection
from farm.store.outcomes import COPY_HEAD, COPY_TAIL, CRASH_KINDS, LIMITED_KINDS, NOTHING_ASKED, Asked, Clock, Held, Return, Rows
from farm.store.session import Session, bigint_array, send
from farm.store.statements import compose, load

_SUCCEEDED = int(OutcomeKind.SUCCEEDED)
"""Looking up a member of an enum costs more than comparing numbers, and this is compared for every outcome."""
UNSUCCESSFUL = frozenset(OutcomeKind) - {OutcomeKind.SUCCEEDED, OutcomeKind.SNOOZED}
"""What an outcome that was refused may stay: of the others it becomes a failure."""

NOTHING = CommitReport(0, 0, 0, 0, 0)
FAILED_MAX = 64
"""So many attempts that came to no good are kept for whoever asks for them."""
DELAY_S_MIN = 0.001
"""A shorter pause is none: the job goes back at once."""


class CommitStore:
    """The transaction of the writer. Its lock order is leases ascending by id, then nothing that can wait."""

    def __init__(self, session: Session, policies: Policies) -> None:
        """policies: what becomes of jobs that fail, as far as they have not asked for anything themselves."""
        self._session = session
        self.policies = policies
        self.tells = False
        """Set by others: somebody may wait for the end of a job, and is to be told with the commit."""
        self._failed: deque[FailedAttempt] = deque(maxlen=FAILED_MAX)

    def take_failed(self) -> list[FailedAttempt]:
        """Return the last attempts that came to no good of those that were committed since the last call: a few of each transaction."""
        failed = list(self._failed)
        self._failed.clear()
        return failed

    def commit(self, outcomes: Outcomes, *, now_ns: int, again: bool = False) -> CommitReport:
        """Commit outcomes and account for every one of them; all are in the database when this returns.

        now_ns is CLOCK_MONOTONIC now: stored times are the database's clock minus ages by it. again says that an earlier try may
        have got through: what is dropped is then looked up. An outcome that PostgreSQL refuses to store becomes a failure of its
        job, and the others are not held up by it. Raises StoreUnavailable: nobody knows what was written, commit the same outcomes
        with again=True. Raises StoreError once for an outcome that cannot be written in any form (a second result of one job): its
        position is settled without it, the others are committed, and a retry finds them all done.
        """
        try:
            return self._commit(outcomes, now_ns, again)
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            return self._commit_apart(outcomes, now_ns, again, error)

    def _commit(self, outcomes: Outcomes, now_ns: int, again: bool, moments: bytes = b"") -> CommitReport:
        if not len(outcomes):
            return NOTHING
        once = partial(_commit_once, policies=self.policies, outcomes=outcomes, now_ns=now_ns, moments=moments, tells=self.tells)
        fenced = self._session.run(once)
        self._failed.extend(fenced.failed)
        written = len(outcomes) - len(fenced.settled) - len(fenced.gone)
        if not again:
            return CommitReport(written, len(fenced.settled), len(fenced.gone), 0, 0)
        doubtful = fenced.settled + fenced.gone
        already = self._count_written(doubtful)
        return CommitReport(written, 0, 0, already, len(doubtful) - already)

    def _count_written(self, dropped: list[_Dropped]) -> int:
        if not dropped:
            return 0
        job_ids, lease_ids = zip(*dropped, strict=True)
        params = {"job_ids": bigint_array(job_ids), "lease_ids": bigint_array(lease_ids)}
        return len(self._session.transact("find_written", params))

    def _commit_apart(self, outcomes: Outcomes, now_ns: int, again: bool, error: psycopg.Error) -> CommitReport:
        """Commit the halves of a batch that was refused, down to the outcome at fault, which fails its job instead."""
        if len(outcomes) == 1:
            # Where the database is not in UTF-8 some characters cannot be stored. No job fails for those of its log.
            if (plain := outcomes.with_logs(in_ascii)) is not None:
                return self.commit(plain, now_ns=now_ns, again=again)
            return self._commit_unstorable(*outcomes.only(), now_ns, again, error)
        reports: list[CommitReport] = []
        refused: StoreError | None = None
        for half in outcomes.halves():
            try:
                reports.append(self.commit(half, now_ns=now_ns, again=again))
            except StoreUnavailable:
                raise
            except StoreError as hopeless:
                refused = hopeless
        if refused is not None:
            raise refused
        return CommitReport(*map(sum, zip(*reports, strict=True)))

    def _commit_unstorable(self, outcome: Outcome, moments: bytes, now_ns: int, again: bool, error: psycopg.Error) -> CommitReport:
        """Fail the job that stands at this position in the place of an outcome that was refused. moments: see Rows."""
        reason = " ".join((error.diag.message_primary or str(error)).split())
        payload = json.dumps({"type": "UnstorableResult", "message": reason, "traceback": ""}).encode()
        kind = outcome.kind if outcome.kind in UNSUCCESSFUL else OutcomeKind.FAILED
        found = self._session.fetch("read_position", {"lease_id": outcome.lease_id, "position": outcome.position})
        # The number in the frame may be nonsense itself: the process that wrote it also runs foreign code.
        job_id = (found[0][0] if found else None) or outcome.job_id
        failed = outcome._replace(job_id=job_id, kind=kind, payload=payload, peak_bytes=0)
        # Times that the table has refused are not offered again.
        known = b"" if isinstance(error, psycopg.errors.CheckViolation) else moments
        try:
            if isinstance(error, psycopg.errors.UniqueViolation) and job_id == outcome.job_id:
                raise error
            return self._commit(Outcomes([failed]), now_ns, again, known)
        except (psycopg.DataError, psycopg.IntegrityError) as still:
            if known and still is not error:
                # Its times may be nonsense, too.
                return self._commit_unstorable(outcome, b"", now_ns, again, error)
            # A job that has its result already: a mistake of ours, to be heard of, but not one that should stop every other job.
            once = partial(_commit_once, policies=self.policies, outcomes=Outcomes([failed]), now_ns=now_ns, rows_wanted=False)
            self._session.run(once)
            raise StoreError(
                f"position {outcome.position} of lease {outcome.lease_id}, job {job_id}, had to be given up: {reason}"
            ) from still


class _Dropped(NamedTuple):
    """An outcome of a commit that was not written."""

    job_id: int
    lease_id: int


class _Fenced(NamedTuple):
    """What the fence kept out of a commit."""

    settled: list[_Dropped]
    """Their position was settled before."""
    gone: list[_Dropped]
    """Their lease is gone."""
    failed: Sequence[FailedAttempt]
    """Of what it let through: the last that were no success."""


class _Lease(NamedTuple):
    """A locked lease, as lock_leases.sql returns it."""

    id: int
    n: int
    done: bytes
    attempts: list[int] | None
    losts: list[int] | None
    clock_us: int


class _Known(NamedTuple):
    """What the database knows of the jobs of a commit that may be tried again."""

    asked: dict[int, Asked]
    crashes: dict[int, int]


def _commit_once(
    connection: DeadlineConnection,
    *,
    policies: Policies,
    outcomes: Outcomes,
    now_ns: int,
    moments: bytes = b"",
    rows_wanted: bool = True,
    tells: bool = False,
) -> _Fenced:
    shares = outcomes.by_lease()
    leases, known = _lock(connection, sorted(shares), [one for one in outcomes.others if one.kind in LIMITED_KINDS])
    rows = Rows(Clock(leases[0].clock_us if leases else 0, now_ns), moments)
    fenced = _Fenced([], [], rows.failed)
    bits: dict[int, bytes] = {}
    full: list[int] = []
    for lease in leases:
        kept, bits_after = _settle(lease, shares.pop(lease.id), fenced.settled)
        if len(kept):
            if rows_wanted:
                _gather(rows, lease, kept, known, policies)
            if bits_after is None:
                full.append(lease.id)
            else:
                bits[lease.id] = bits_after
    for lease_id, share in shares.items():
        fenced.gone.extend(_Dropped(job_id, lease_id) for job_id in share.job_ids())
    passing("writer.before_copy")
    _copy(connection, "copy_results", rows.results)
    _copy(connection, "copy_failures", rows.failures)
    passing("writer.before_commit")
    _finish(connection, rows, bits, full, outcomes.job_ids() if tells else [])
    return fenced


def _lock(connection: DeadlineConnection, lease_ids: list[int], limited: list[Outcome]) -> tuple[list[_Lease], _Known]:
    """Open the transaction and lock its leases; also read what decides what becomes of the outcomes that are limited."""
    names = ["begin", "plan_by_index", "lock_leases"]
    params: dict[str, Any] = {"lease_ids": bigint_array(lease_ids)}
    if limited:
        job_ids = [outcome.job_id for outcome in limited]
        params |= {"lowest_id": min(job_ids), "highest_id": max(job_ids), "job_ids": bigint_array(job_ids)}
        names.append("read_limits")
        if any(outcome.kind in CRASH_KINDS for outcome in limited):
            names.append("count_crashes")
    found = send(connection, compose(*names), params)
    leases = [_Lease(*row) for row in found[0]]
    asked = {row[0]: Asked(*row[1:]) for row in found[1]} if len(found) > 1 else {}
    return leases, _Known(asked, dict(found[2]) if len(found) > 2 else {})


def _settle(lease: _Lease, share: Outcomes, settled: list[_Dropped]) -> tuple[Outcomes, bytes | None]:
    """Keep the outcomes whose position is open, put the others into settled; returns the kept and the bits after (None: all set)."""
    before = int.from_bytes(lease.done, "little")
    positions = share.all_positions()
    taken = set(positions)
    kept = share
    # The common case, seen without looking at single bits: nothing settled yet, no position twice.
    if before or len(taken) != len(positions) or not 0 <= min(taken) <= max(taken) < lease.n:
        taken = set()
        open_ones = []
        for position, job_id in zip(positions, share.job_ids(), strict=True):
            is_open = 0 <= position < lease.n and position not in taken and not before >> position & 1
            open_ones.append(is_open)
            if is_open:
                taken.add(position)
            else:
                settled.append(_Dropped(job_id, lease.id))
        kept = share.where(open_ones)
    if before.bit_count() + len(kept) == lease.n:
        return kept, None
    flags = bytearray(b"0") * lease.n
    for position in taken:
        flags[position] = 49
    return kept, (before | int(flags[::-1], 2)).to_bytes(len(lease.done), "little")


def _gather(rows: Rows, lease: _Lease, kept: Outcomes, known: _Known, policies: Policies) -> None:
    attempts, losts = lease.attempts, lease.losts
    try:
        rows.add_successes(lease.id, kept.heads, kept.values, kept.positions, attempts, kept.logs)
        for outcome in kept.others:
            held = Held(outcome, attempts[outcome.position] if attempts else 0, losts[outcome.position] if losts else 0)
            asked = known.asked.get(outcome.job_id, NOTHING_ASKED)
            rows.add_other(held, asked, policies.of(asked.task), known.crashes.get(outcome.job_id, 0))
    except (struct.error, OverflowError, ValueError) as error:
        # A frame's numbers that fit no column, a kind that does not exist, an error that is no JSON: of the same sort as data that
        # PostgreSQL refuses.
        raise psycopg.DataError(f"no such outcome: {error}") from error


def _copy(connection: DeadlineConnection, name: str, rows: list[bytes]) -> None:
    if rows:
        with connection.cursor() as cursor, cursor.copy(load(name)) as copy:
            copy.write(b"".join((COPY_HEAD, *rows, COPY_TAIL)))


def _finish(connection: DeadlineConnection, rows: Rows, bits: dict[int, bytes], full: list[int], told: list[int]) -> None:
    """Put jobs back, settle the leases, tell who waits for one of told, and close the transaction, all in one message."""
    names: list[str] = []
    params: dict[str, Any] = {}
    if back := [one for one in rows.returned if one.delay_s < DELAY_S_MIN]:
        names.append("return_jobs")
        params |= _back("returned", back)
    if later := [one for one in rows.returned if one.delay_s >= DELAY_S_MIN]:
        names.append("postpone_jobs")
        params |= _back("later", later) | {"delays_us": bigint_array([round(one.delay_s * 1e6) for one in later])}
    if bits:
        names.append("mark_done")
        params |= {"marked_ids": bigint_array(list(bits)), "bits": list(bits.values())}
    if full:
        names.append("drop_leases")
        params["full_ids"] = bigint_array(full)
    if told:
        names.append("tell_waiters")
        params["ended_ids"] = bigint_array(told)
    send(connection, compose(*names, "commit"), params)


def _back(prefix: str, jobs: Sequence[Return]) -> dict[str, Any]:
    job_ids, attempts, losts, _delays_s = zip(*jobs, strict=True)
    columns = {"ids": job_ids, "attempts": attempts, "losts": losts}
    bounds = {f"{prefix}_lowest": min(job_ids), f"{prefix}_highest": max(job_ids)}
    return {f"{prefix}_{name}": bigint_array(column) for name, column in columns.items()} | bounds
