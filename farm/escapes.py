"""What in a text steers a terminal instead of showing something. No I/O."""

from __future__ import annotations

import re

ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_].*?(?:\x07|\x1b\\|$)|[ -/]*[0-~])|\x9b[0-?]*[ -/]*[@-~]", re.DOTALL)
"""Whole sequences: without their first character the rest of one would be read as text."""
UNWANTED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Categories of characters that steer instead of showing something; `Cf` holds those that reverse the direction of text."""
