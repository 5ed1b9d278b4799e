"""Answers of the database that get lost between it and a running farm: nothing is lost with them, and nothing is done twice."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.process.conftest import MakeFarm
from tests.process.crew import wait_for
from tests.process.ledger import Ledger, effects_left, effects_of
from tests.proxy import Fault, Proxy

COMMIT, CLAIM = b"DELETE FROM farm.lease", b"FROM farm.claim_jobs("
"""What stands in the last message of a commit, and in the first claim of a connection: its plan is kept."""
JOBS = 200


@pytest.mark.timeout(180)
def test_lost_answers(make_farm: MakeFarm, ledger: Ledger, effects: Path, dsn: str) -> None:
    """A commit that never arrives; then answers of a commit and of a claim that are swallowed, with all that the server says after them.

    The lease is shorter than the deadline of a call, so its gate closes, and nobody else is there to declare the farm dead.
    """
    with Proxy(dsn) as proxy:
        farm = make_farm(dsn=proxy.dsn, claim_max=50)
        took: dict[str, float] = {}
        farm.start()
        for numbers, what in enumerate(("a commit cut before it arrives", "the answer of a commit", "the answer of a claim"), 1):
            ledger.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'farm claims'")
            lost = proxy.rule(Fault.CUT_BEFORE if numbers == 1 else Fault.SWALLOW, CLAIM if numbers == 3 else COMMIT, left=1)
            ledger.query(
                "SELECT farm.enqueue('chores:mark', jsonb_build_array(%s::text, n, 0.001)) FROM generate_series(%s::int, %s::int) AS n",
                str(effects),
                (numbers - 1) * JOBS + 1,
                numbers * JOBS,
            )
            wait_for(lambda lost=lost: lost.fired, f"{what}, lost")  # type: ignore[misc]
            begun = time.monotonic()
            wait_for(lambda jobs=numbers * JOBS: ledger.settled() == jobs, "all results")  # type: ignore[misc]
            took[what] = time.monotonic() - begun
        print({what: f"{seconds:.2f} s" for what, seconds in took.items()})
        assert effects_left(effects) == 3 * JOBS
        assert effects_of(effects) == dict.fromkeys(range(1, 3 * JOBS + 1), 1)
        assert len(ledger.query("SELECT id FROM farm.host")) == 1
        farm.stop()
    assert {(row.status, row.attempt) for row in ledger.results().values()} == {(1, 1)}
    ledger.check_all_ended()
