"""An answer: what it comes to for programs, for people, and what can be done about it."""

from __future__ import annotations

from typing import NamedTuple


class Reason(NamedTuple):
    """Why something is so."""

    code: str
    """One word for programs, such as `lane_full`; docs/answers.md lists them."""
    text: str
    """One or two sentences."""
    advice: str = ""
    """A command that changes it; "" where there is none."""
