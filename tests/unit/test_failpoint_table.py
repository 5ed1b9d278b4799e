"""The table of failpoints in docs/internals.md is that of the code."""

from __future__ import annotations

import re
from pathlib import Path

from farm.failpoints import POINTS

ROOT = Path(__file__).parents[2]


def test_every_failpoint_is_documented_and_passed() -> None:
    section = (ROOT / "docs/internals.md").read_text().partition("\n## Failpoints\n")[2].partition("\n## ")[0]
    documented = dict(re.findall(r"^\| `([a-z]+\.[a-z_]+)` \| (.*) \|$", section, re.M))
    assert documented == dict(POINTS)
    code = "".join(path.read_text() for path in (ROOT / "farm").rglob("*.py"))
    assert set(re.findall(r'passing\("([a-z_.]+)"\)', code)) == set(POINTS)
