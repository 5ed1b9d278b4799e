"""Shows the last attempts that came to no good to whoever looks at this host: after the commit that holds them, a few of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from farm.model import FailedAttempt, OutcomeKind, Outcomes
from farm.shm.failures import Failure, FailureFile
from farm.writer.sources import Source


class Reads:
    """Which source the outcomes of a batch came from, as far as they are no plain successes: noted once for each reading of a ring."""

    def __init__(self) -> None:
        self._reads: list[tuple[int, int, Source]] = []

    def note(self, first: int, acks: int, source: Source) -> None:
        """Take in a reading: its first outcome among the others of the batch, and how many acks its source held before."""
        self._reads.append((first, acks, source))

    def lanes(self, outcomes: Outcomes, failed: Sequence[FailedAttempt]) -> list[str]:
        """Return the lanes in which those ran that failed; "" where that is not known."""
        lanes = {(one.outcome.lease_id, one.outcome.position): "" for one in failed}
        reads = iter(self._reads)
        following = next(reads, None)
        current: tuple[int, int, Source] | None = None
        for index, outcome in enumerate(outcomes.others):
            while following is not None and following[0] <= index:
                current, following = following, next(reads, None)
            place = outcome.lease_id, outcome.position
            if place in lanes and current is not None:
                first, acks, source = current
                lanes[place] = source.lane_of(acks + index - first)
        return [lanes[one.outcome.lease_id, one.outcome.position] for one in failed]

    def clear(self) -> None:
        """Forget them: the batch is committed."""
        self._reads.clear()


class Failed:
    """Puts rows into the file of failures."""

    def __init__(self, file: FailureFile) -> None:
        self._file = file

    def note(self, failed: Sequence[FailedAttempt], lanes: Sequence[str]) -> None:
        """Add what a commit has left, the oldest first."""
        rows = [
            Failure(one.at_us, lane, one.outcome.job_id, one.task, one.attempt, one.outcome.kind, why(one), one.delay_s)
            for one, lane in zip(failed, lanes, strict=True)
        ]
        self._file.add(sorted(rows, key=_at))


def why(failed: FailedAttempt) -> str:
    """Say in one line what an attempt came to: the name of the error and its message, or the message where the kind says the rest."""
    error = _error(failed.outcome.payload)
    message = " ".join(_text(error, "message").split())
    if failed.outcome.kind != OutcomeKind.FAILED:
        return message
    name = _text(error, "type").rpartition(".")[2]
    return f"{name}: {message}" if name and message else name or message


def _error(payload: bytes) -> dict[str, Any]:
    # It was stored as JSON by the commit that tells of it, but one that could not be stored is told of too.
    try:
        error = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return {}
    return error if isinstance(error, dict) else {}


def _text(error: dict[str, Any], name: str) -> str:
    """Return a text of an error; whatever else stands there is none, and may be of any depth."""
    text = error.get(name)
    return text if isinstance(text, str) else ""


def _at(failure: Failure) -> int:
    return failure.at_us
