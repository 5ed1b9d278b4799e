"""What screens are told of an attempt that came to no good, in one line."""

from __future__ import annotations

import pytest

from farm.model import FailedAttempt, Outcome, OutcomeKind
from farm.writer.failed import why

DEEP = b"[" * 1_020 + b"]" * 1_020


@pytest.mark.parametrize(
    ("payload", "line"),
    [
        (b'{"type":"app.Busy","message":"try\\nagain"}', "Busy: try again"),
        (b'{"type":"Busy","message":' + DEEP + b"}", "Busy"),
        (b'{"type":' + DEEP + b',"message":7}', ""),
        (b"[1]", ""),
        (b"\xff", ""),
    ],
)
def test_any_error_that_a_job_can_write_comes_to_a_line(payload: bytes, line: str) -> None:
    """The commit has succeeded when this is asked for: whatever it raised would end the writer before its acks."""
    outcome = Outcome(1, 0, 1, 0, OutcomeKind.FAILED, 1, 2, payload)
    assert why(FailedAttempt(outcome, 0, "jobs:busy", 1, None)) == line
