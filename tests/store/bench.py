"""All stores on one database, with the few moves that most tests of the store make."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Sequence
from typing import Any

import psycopg

from farm.model import PRIORITY_DEFAULT, Claim, CommitReport, Outcome, OutcomeKind, Outcomes
from farm.retry import AT_ONCE, Policies, Policy
from farm.store.claims import ClaimStore
from farm.store.commits import CommitStore
from farm.store.hosts import HostStore
from farm.store.session import Session
from farm.store.upkeep import UpkeepStore

NOW_NS = 1_000_000_000_000
"""What the clock of these tests says. A job starts 2 s before that and ends 1 s before."""


QUICK = Policies([Policy(retry=AT_ONCE)])
"""Most tests do not wait for another attempt."""


class Bench:
    """The stores of one host, and `sql`, a connection of the test's own in autocommit."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.session = Session(dsn, application_name="bench", deadline_s=30)
        self.claims = ClaimStore(self.session)
        self.commits = CommitStore(self.session, QUICK)
        self.hosts = HostStore(self.session)
        self.upkeep = UpkeepStore(self.session)
        self.sql = psycopg.connect(dsn, autocommit=True)
        self._claim_numbers: dict[int, int] = {}

    def close(self) -> None:
        self.session.close()
        self.sql.close()

    def rows(self, query: str, *params: Any) -> list[tuple[Any, ...]]:
        return self.sql.execute(query.encode(), params or None).fetchall()

    def value(self, query: str, *params: Any) -> Any:
        return self.rows(query, *params)[0][0]

    def enqueue(self, count: int = 1, **options: Any) -> list[int]:
        """File jobs through farm.enqueue, all alike."""
        named = "".join(f", {name} => %({name})s" for name in options)
        query = f"SELECT farm.enqueue('tests:job'{named}) FROM generate_series(1, %(count)s)"  # noqa: S608
        rows = self.sql.execute(query.encode(), {"count": count, **options}).fetchall()
        return sorted(row[0] for row in rows)

    def host(self, name: str = "here") -> int:
        return self.hosts.register(
            instance="default", name=name, lanes={"default": {"queues": ["*"]}}, capacity=2, memory_bytes=1 << 30, version="0"
        )

    def class_id(self, queue: str = "default") -> int:
        return next(class_id for class_id, found in self.claims.classes().items() if found.queue == queue)

    def lease_id(self, host_id: int) -> int:
        """Number the claims of a host, as its claimer does."""
        self._claim_numbers[host_id] = number = self._claim_numbers.get(host_id, 0) + 1
        return (host_id << 32) + number

    def claim(
        self,
        host_id: int,
        jobs_max: int = 100,
        *,
        queue: str = "default",
        priority: int = PRIORITY_DEFAULT,
        returned_max: int | None = None,
    ) -> Claim:
        arguments = self.asking(self.lease_id(host_id), jobs_max, queue=queue, priority=priority, returned_max=returned_max)
        claim = self.claims.claim(**arguments)
        assert claim is not None
        return claim

    def asking(
        self,
        lease_id: int,
        jobs_max: int,
        *,
        queue: str = "default",
        priority: int = PRIORITY_DEFAULT,
        above_id: int = 0,
        returned_max: int | None = None,
    ) -> dict[str, Any]:
        """Return the arguments of a claim of one class."""
        return {
            "lease_id": lease_id,
            "priority": priority,
            "class_ids": [self.class_id(queue)],
            "above_ids": [above_id],
            "above_seqs": [0],
            "returned_max": jobs_max if returned_max is None else returned_max,
            "each_max": jobs_max,
            "jobs_max": jobs_max,
        }

    def commit(self, outcomes: Sequence[Outcome], *, again: bool = False) -> CommitReport:
        return self.commits.commit(batch_of(outcomes), now_ns=NOW_NS, again=again)


def outcome(claim: Claim, position: int, kind: OutcomeKind = OutcomeKind.SUCCEEDED, payload: bytes | None = None) -> Outcome:
    """Make the outcome of one claimed job."""
    never_started = kind in (OutcomeKind.RELEASED, OutcomeKind.REJECTED)
    if payload is None:
        payload = b"" if kind is OutcomeKind.RELEASED else b'{"n": 1}' if kind is OutcomeKind.SUCCEEDED else error(kind.name.lower())
    return Outcome(
        claim.lease_id,
        position,
        claim.job_ids[position],
        claim.attempts[position],
        kind,
        0 if never_started else NOW_NS - 2_000_000_000,
        NOW_NS - 1_000_000_000,
        payload,
    )


def batch_of(outcomes: Sequence[Outcome]) -> Outcomes:
    """Put outcomes together as the writer does: successes in columns, with the cells that their subworker has packed."""
    batch = Outcomes()
    # The server is on this machine, so its clock is ours.
    offset_us = (time.time_ns() - NOW_NS) // 1000 - 946_684_800_000_000
    for one in outcomes:
        if one.kind != OutcomeKind.SUCCEEDED:
            batch.others.append(one)
            continue
        started_us, finished_us = offset_us + one.started_ns // 1000, offset_us + one.finished_ns // 1000
        batch.lease_ids.append(one.lease_id)
        batch.positions.append(one.position)
        batch.heads.append(struct.pack(">hiqiqiq", 10, 8, one.job_id, 8, started_us, 8, finished_us))
        batch.values.append(one.payload)
        if one.log:
            batch.add_log(one.log)
    return batch


def outcomes(claim: Claim, kind: OutcomeKind = OutcomeKind.SUCCEEDED) -> list[Outcome]:
    """Make the same outcome for every claimed job."""
    return [outcome(claim, position, kind) for position in range(len(claim.job_ids))]


def error(kind: str) -> bytes:
    return json.dumps({"type": kind, "message": f"it {kind}", "traceback": ""}).encode()
