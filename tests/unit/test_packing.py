"""Claimed jobs on their way into a ring."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from farm.model import Claim, JobRow, Share
from farm.shm.spill import Spill
from farm.supervisor.packing import Packer
from farm.supervisor.refusals import Refusals
from farm.supervisor.timeouts import Timeouts

SINCE = -2
"""Where a packed job says since when it could be claimed."""


def packer() -> Packer:
    refusals = cast(Refusals, SimpleNamespace(reason=lambda _runner, _task: None))
    timeouts = cast(Timeouts, SimpleNamespace(of=lambda _task: 0))
    spill = Spill(Path("/nowhere"), owner="test", bytes_max=0)
    return Packer(runner_names=["python"], refusals=refusals, timeouts=timeouts, spill=spill, frame_bytes_max=1 << 16)


@given(
    created=st.lists(st.none() | st.integers(1, 1 << 60), min_size=1, max_size=40)
    | st.lists(st.integers(1, 1 << 60), min_size=1, max_size=9),
    returned=st.integers(0, 40),
    answered=st.booleans(),
    one_is_gone=st.booleans(),
)
def test_since_when_each_could_be_claimed(created: list[int | None], returned: int, answered: bool, one_is_gone: bool) -> None:
    """What has come back has no such time; of the others those that nobody asked for were filed with the one before, or else the next."""
    jobs, returned = len(created), min(returned, len(created))
    rows = [JobRow(place + 1, b"jobs:one", b"[]", 0, at) for place, at in enumerate(created)]
    shares = (Share(1, jobs - returned, jobs, returned, returned),) if answered else ()
    claim = Claim(1 << 32, [row[0] for row in rows], [0] * jobs, None, shares)
    fresh = [None] * returned + created[returned:] if answered else [None] * jobs
    if one_is_gone:
        del rows[-1]
        fresh[-1] = None
    packed = packer().pack(claim, rows, "python").jobs
    latest = next((at for at in fresh if at is not None), 0)
    expected = []
    for place, at in enumerate(fresh[: len(rows)]):
        latest = latest if at is None else at
        expected.append(latest if answered and place >= returned else 0)
    assert [job[SINCE] for job in packed] == expected
