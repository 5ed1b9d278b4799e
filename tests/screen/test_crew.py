"""What a screen makes of what the farm tells of a lane."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from farm.model import OutcomeKind
from farm.screen.crew import LaneWatch

NOWHERE = Path("/nonexistent")


def told(ended_by_farm: int) -> dict[str, Any]:
    return {"crew": [], "ended_by_us": {str(int(OutcomeKind.TIMED_OUT)): ended_by_farm}, "stolen": 0}


@pytest.mark.parametrize(("is_new", "ended"), [(False, 4), (True, 0)])
def test_what_the_farm_itself_has_ended_counts_if_it_is_known_when(is_new: bool, ended: int) -> None:
    """Not after a time in which nobody looked: it would all be taken for the last second's."""
    lane = LaneWatch("a")
    lane.tell(told(5), NOWHERE, 1.0, is_new=False)
    lane.look(1.0, 0)
    assert lane.ended == 0
    lane.tell(told(9), NOWHERE, 2.0, is_new=is_new)
    lane.look(2.0, 0)
    assert lane.ended == ended
