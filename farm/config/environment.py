"""Fills environment variables into the text values of a configuration: `${NAME}`, `${NAME:-default}`, and `$${` for the text `${`.

What a variable holds is data: it is never read as YAML, nothing is filled into it in its turn, and no message shows it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

FILLED_CHARACTERS_MAX = 1 << 20
"""In all of a file: a short file that names a long variable often must not become a long one."""

_REFERENCE = re.compile(r"\$\$\{|\$\{(?:([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\})?")
_UNWANTED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class Environment:
    """The variables that one file may name."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self._left = FILLED_CHARACTERS_MAX

    def fill_in(self, text: str) -> tuple[str, bool]:
        """Return text with its variables filled in, and whether there were any. Raises ValueError, which names the variable."""
        if "${" not in text:
            return text, False
        named = False

        def replace(match: re.Match[str]) -> str:
            nonlocal named
            if match[0] == "$${":
                return "${"
            named = True
            value = self._value(match[1], match[2])
            self._left -= len(value)
            if self._left < 0:
                raise ValueError(f"what variables fill in comes to more than {FILLED_CHARACTERS_MAX >> 20} MiB")
            return value

        return _REFERENCE.sub(replace, text), named

    def _value(self, name: str | None, default: str | None) -> str:
        if name is None:
            raise ValueError("'${' begins a variable, as in ${NAME} or ${NAME:-default}; write $${ for the text itself")
        value = self._variables.get(name, "")
        if not value and default is not None:
            return default
        if not value and name not in self._variables:
            raise ValueError(f"the environment variable {name} is not set; ${{{name}:-default}} does without")
        if _UNWANTED.search(value):
            raise ValueError(f"the environment variable {name} holds a character that is not allowed here, or is not UTF-8")
        return value
