"""Claims become jobs on their way into rings, each with the time since which it could be claimed, as far as that is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from farm.model import Claim, JobRow, Share
from farm.shm.frames import HeldJob, pack_jobs, unpack_jobs
from farm.shm.spill import Spill
from farm.supervisor.claims.packing import Packer
from farm.supervisor.claims.refusals import Refusals
from farm.supervisor.claims.timeouts import Timeouts

SINCE = 9


@pytest.fixture
def packer(tmp_path: Path) -> Packer:
    return Packer(
        runner_names=["python"],
        refusals=Refusals({"python": {}}),
        timeouts=Timeouts(of_task=lambda _task: 0.0),
        spill=Spill(tmp_path, owner="s", bytes_max=1 << 20),
        frame_bytes_max=1 << 16,
    )


def claim(created_us: list[int | None], *, returned: int, share: bool = True) -> tuple[Claim, list[JobRow]]:
    job_ids = list(range(100, 100 + len(created_us)))
    shares = (Share(1, len(job_ids) - returned, 0, returned, 0),) if share else ()
    rows = [JobRow(job_id, b"m:f", b"[]", 0, us) for job_id, us in zip(job_ids, created_us, strict=True)]
    return Claim(1 << 32, job_ids, [0] * len(job_ids), None, shares), rows


def sinces(jobs: list[HeldJob]) -> list[object]:
    return [job[SINCE] for job in jobs]


@pytest.mark.parametrize("first", [0, 1])
def test_jobs_beside_each_other_were_filed_together(packer: Packer, monkeypatch: pytest.MonkeyPatch, first: int) -> None:
    """One whose time was not asked for has that of the one before it, or of the first whose time was; those that have come back, none."""
    monkeypatch.setattr(Refusals, "reason", lambda *_: None)
    cases: list[tuple[list[int | None], int, list[int]]] = [
        ([5, 6, 7], 0, [5, 6, 7]),
        ([None, 6, None, None, 9, None], 0, [6, 6, 6, 6, 9, 9]),
        ([1, 2, None, 6, None], 2, [0, 0, 6, 6, 6]),
        ([1, None, None], 1, [0, 0, 0]),
        ([1, 2], 2, [0, 0]),
    ]
    for created_us, returned, expected in cases:
        packed = packer.pack(*claim(created_us, returned=returned), "python", first=first)
        assert sinces(packed.jobs) == expected[first:]


def test_nobody_knows_what_a_claim_brought_whose_answer_was_lost(packer: Packer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Refusals, "reason", lambda *_: None)
    assert sinces(packer.pack(*claim([5, 6], returned=0, share=False), "python").jobs) == [0, 0]


def test_a_job_whose_row_is_gone_moves_no_time(packer: Packer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Refusals, "reason", lambda *_: None)
    made, rows = claim([5, 6, 7], returned=0)
    packed = packer.pack(made, [rows[0], rows[2]], "python")
    assert (sinces(packed.jobs), len(packed.refused)) == ([5, 7], 1)


@pytest.mark.parametrize(("times_us", "expected"), [([5], 5), ([5, 6, 9], 7), ([0, 6, 9], 0), ([0, 0], 0)])
def test_a_frame_has_one_time_for_its_jobs(times_us: list[int], expected: int) -> None:
    """That in the middle; none if a job among them has come back, which stands first."""
    held: list[HeldJob] = [(0, 1, number, number, 0, 0, 0, 0, b"m:f", us, b"[]") for number, us in enumerate(times_us)]
    ((_flags, payload, count),) = pack_jobs(held, 1)
    assert (unpack_jobs(payload).since_us, count) == (expected, len(times_us))
