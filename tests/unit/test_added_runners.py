"""A runner that a reload has added: its jobs are claimed when nobody is left who has not got it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from farm.supervisor.control.reload import Reloader


def test_jobs_of_an_added_runner_wait_for_the_last_that_has_not_got_it() -> None:
    """They name their runner by its position: one that was forked before would find none there."""
    crew: Any = SimpleNamespace(runners_known=1)
    config: Any = SimpleNamespace(runners={"python": {}})
    claimed_for: list[list[str]] = []
    nothing: Any = None
    reloader = Reloader(
        config=config, load=None, mainstays=nothing, crew=crew, place=nothing, make_lane=nothing, adopt=nothing,
        begin=lambda: None,
        end=lambda: None,
        claim_for=lambda names: claimed_for.append(list(names)),
    )  # fmt: skip
    reloader.note_burials()
    assert not claimed_for, "what is claimed for from the start"
    reloader.config = SimpleNamespace(runners={"python": {}, "shell": {}})  # type: ignore[assignment]
    reloader.note_burials()
    assert not claimed_for, "somebody is left who has python alone"
    crew.runners_known = 2
    reloader.note_burials()
    reloader.note_burials()
    assert claimed_for == [["python", "shell"]]
