"""Job data made fit for a terminal: what a job holds must not move the cursor, set colours or hide other text."""

from __future__ import annotations

import json
import re
import unicodedata
from datetime import UTC, datetime
from typing import Any

from farm.escapes import ESCAPES, UNWANTED


def one_line(value: object) -> str:
    """Return a value as one line of printable text."""
    text = ESCAPES.sub("", str(value))
    return "".join(char for char in re.sub(r"\s+", " ", text) if unicodedata.category(char) not in UNWANTED).strip()


def many_lines(value: object) -> list[str]:
    """Return a text of several lines, such as a traceback, as printable lines; indentation stays."""
    lines = ESCAPES.sub("", str(value)).expandtabs(8).splitlines()
    return ["".join(char for char in line if unicodedata.category(char) not in UNWANTED).rstrip() for line in lines]


def shortened(text: str, width: int) -> str:
    """Return at most width characters of a text, with `...` where it was cut."""
    return text if len(text) <= width else text[: max(width - 3, 0)] + "..."


def as_json(value: Any) -> str:
    """Return data as JSON for programs: indented, ASCII only (so that nothing in it can steer a terminal), times in UTC."""
    return json.dumps(value, indent=2, default=_jsonable)


def json_line(value: Any) -> str:
    """Return data as JSON for programs on one line, otherwise as as_json does."""
    return json.dumps(value, default=_jsonable)


def compact_json(value: Any) -> str:
    """Return data as JSON on one line, for people."""
    return json.dumps(value, ensure_ascii=False, default=_jsonable)


def _jsonable(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return str(value)
