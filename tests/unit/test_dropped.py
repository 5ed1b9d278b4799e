"""Outcomes that the fence drops are told of at once, then as sums."""

from __future__ import annotations

import pytest

from farm.model import CommitReport
from farm.writer.dropped import QUIET_S, Dropped


def test_the_first_at_once_then_sums(caplog: pytest.LogCaptureFixture) -> None:
    dropped = Dropped()
    for number in range(100):
        dropped.note(CommitReport(5, 1, 2, 7, 0))
        dropped.tell(100.0 + number / 1000)
    assert [record.message for record in caplog.records] == ["outcomes dropped: 1 duplicate, 2 stale (their lease is gone), 0 unknown"]
    dropped.note(CommitReport(0, 0, 0, 0, 4))
    dropped.tell(100.0 + QUIET_S)
    assert caplog.records[-1].message == "outcomes dropped: 99 duplicate, 198 stale (their lease is gone), 4 unknown"
    dropped.tell(1000.0)
    dropped.tell(1000.0, at_last=True)
    dropped.note(CommitReport(9, 0, 0, 3, 0))
    dropped.tell(2000.0, at_last=True)
    assert len(caplog.records) == 2, "nothing was dropped"
    dropped.note(CommitReport(0, 0, 1, 0, 0))
    dropped.tell(2000.0)
    dropped.note(CommitReport(0, 0, 1, 0, 0))
    dropped.tell(2000.0, at_last=True)
    assert len(caplog.records) == 4
