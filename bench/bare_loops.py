"""The least that farm's storage costs: one process that claims and one that commits, with farm's own statements, nothing between.

The claims are those of farm's store, which adds next to nothing for each job; what the commit writes is packed as one struct a job.
"""

from __future__ import annotations

import multiprocessing
import time
from array import array
from collections.abc import Sequence
from multiprocessing.connection import Connection
from struct import Struct
from typing import Any

import psycopg
from psycopg import ClientCursor

from bench.database import query
from farm.model import PRIORITY_DEFAULT
from farm.store.claims import ClaimStore
from farm.store.session import Session, bigint_array
from farm.store.statements import compose, load

BATCHES = (500, 1000, 2000, 4000)
LEASE_SHIFT = 32
CLASS_ID = 1
"""Of the only class of a filled database."""
EPOCH_US = 946_684_800_000_000
"""2000, from where PostgreSQL counts."""
COPY_HEAD, COPY_TAIL = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
RESULT = b"{}"
ROW = Struct(">hiqiqiqiqihihiiiiB2s")
"""One row of farm.result in the binary format of COPY, its columns as copy_results.sql names them."""


def run_bare(dsn: str, batch: int) -> None:
    """Claim and commit every ready job of a database, `batch` at a time. Blocks until the last commit; raises RuntimeError."""
    context = multiprocessing.get_context("fork")
    receiving, sending = context.Pipe(duplex=False)
    host_id = query(dsn, "register_host")[0][0]
    processes = [
        context.Process(target=_claim_all, args=(dsn, host_id, batch, sending), daemon=True),
        context.Process(target=_commit_all, args=(dsn, receiving, sending), daemon=True),
    ]
    for process in processes:
        process.start()
    receiving.close()
    sending.close()
    for process in processes:
        process.join()
        if process.exitcode != 0:
            raise RuntimeError(f"a bare loop ended with exit code {process.exitcode}")


def _claim_all(dsn: str, host_id: int, batch: int, claimed: Connection) -> None:
    """Claim, read what a subworker would need, pass on the lease, the time and the ids."""
    session = Session(dsn, application_name="bench", keeps_plans=True)
    store = ClaimStore(session)
    lease_id, last_id = host_id << LEASE_SHIFT, 0
    while True:
        lease_id += 1
        claim = store.claim(
            lease_id=lease_id,
            priority=PRIORITY_DEFAULT,
            class_ids=[CLASS_ID],
            above_ids=[last_id],
            above_seqs=[0],
            returned_max=0,
            each_max=batch,
            jobs_max=batch,
        )
        if claim is None:
            break
        last_id = claim.job_ids[-1]
        assert len(store.read_jobs(claim.job_ids)) == len(claim.job_ids)
        claimed.send_bytes(array("q", [lease_id, _now_us(), *claim.job_ids]).tobytes())
    session.close()


def _commit_all(dsn: str, claimed: Connection, not_ours: Connection) -> None:
    """Commit what was claimed, one transaction a batch: lock the lease, COPY the results, drop the lease."""
    # Forked with it: as long as we hold it too, the pipe would never end.
    not_ours.close()
    lock, drop = compose("begin", "plan_by_index", "lock_leases"), compose("drop_leases", "commit")
    with _connect(dsn) as connection:
        cursor = connection.cursor()
        while True:
            numbers = array("q")
            try:
                numbers.frombytes(claimed.recv_bytes())
            except EOFError:
                return
            lease_id, started_us = numbers[0], numbers[1]
            cursor.execute(lock, {"lease_ids": bigint_array([lease_id])})
            with cursor.copy(load("copy_results")) as copy:
                copy.write(_result_rows(lease_id, started_us, numbers[2:]))
            cursor.execute(drop, {"full_ids": bigint_array([lease_id])})


def _result_rows(lease_id: int, started_us: int, job_ids: Sequence[int]) -> bytes:
    finished_us, pack = _now_us(), ROW.pack
    rows = [pack(10, 8, job_id, 8, started_us, 8, finished_us, 8, lease_id, 2, 1, 2, 1, -1, -1, -1, 3, 1, RESULT) for job_id in job_ids]
    return b"".join((COPY_HEAD, *rows, COPY_TAIL))


def _connect(dsn: str) -> psycopg.Connection[Any]:
    return psycopg.connect(dsn, autocommit=True, prepare_threshold=None, cursor_factory=ClientCursor)


def _now_us() -> int:
    """Return the time as PostgreSQL counts it: the same machine, so the same clock."""
    return time.time_ns() // 1000 - EPOCH_US
