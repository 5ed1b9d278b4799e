"""Which tasks may not run on this host. Asked once for each task: the answers are kept, bounded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import runners

TASKS_MAX = 10_000


class Refusals:
    """The runners' own word on what is allowed, after the configuration."""

    def __init__(self, options: Mapping[str, Mapping[str, Any]]) -> None:
        """options: for each configured runner what its `configure` returned."""
        self._options = {name: (runners.load(name), given) for name, given in options.items()}
        self._known: dict[tuple[str, bytes], str | None] = {}

    def reason(self, runner: str, task: bytes) -> str | None:
        """Say why a task must not run here, or None if it may."""
        key = (runner, task)
        try:
            return self._known[key]
        except KeyError:
            pass
        if len(self._known) >= TASKS_MAX:
            self._known.clear()
        answer = self._ask(runner, task)
        self._known[key] = answer
        return answer

    def _ask(self, runner: str, task: bytes) -> str | None:
        known, options = self._options[runner]
        try:
            name = task.decode("utf-8")
        except UnicodeDecodeError:
            return "its name is not text"
        return known.allows(options, name)
