"""Typed reading of one mapping of a configuration. A problem is noted and the default returned, so that reading goes on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from farm.config.problems import Place, Problems, did_you_mean, shown
from farm.config.tree import Items, Node, Scalar, Table
from farm.model import NAME_PATTERN
from farm.units import format_duration, format_size, parse_duration, parse_size

Default = TypeVar("Default")
Number = TypeVar("Number", int, float)

_NAME = re.compile(NAME_PATTERN, re.ASCII)


class Section:
    """The mapping at `path`, or an empty one where something else stands (noted) or nothing.

    `keys` are those that it may have; None for a mapping of names that the user chooses.
    """

    def __init__(self, node: Node | None, path: str, problems: Problems, place: Place, keys: Sequence[str] | None) -> None:
        self.path = path
        self.place = node.place if node is not None else place
        self.key_place = place
        self.problems = problems
        self._is_mapping = node is None or isinstance(node, Table)
        self._table = node if isinstance(node, Table) else Table(self.place, {}, {})
        if node is not None and not isinstance(node, Table) and not _refused(node):
            what = f" with {', '.join(keys)}" if keys else ""
            problems.add(node.place, path, f"expected a mapping{what}, got {describe(node)}")
        for key in self._table.keys if keys is not None else ():
            if key not in (keys or ()):
                problems.add(self._table.keys[key], self.of(key), f"unknown key{did_you_mean(key, keys or ())}")

    def of(self, key: str) -> str:
        """Return the path of one of its keys."""
        return f"{self.path}.{shown(key)}" if self.path else shown(key)

    def node(self, key: str) -> Node | None:
        """Return what stands under a key."""
        return self._table.nodes.get(key)

    def place_of(self, key: str) -> Place:
        """Return where a key's value stands, or this mapping itself."""
        node = self.node(key)
        return node.place if node is not None else self.place

    def note(self, key: str, message: str) -> None:
        """Note a problem of one key."""
        self.problems.add(self.place_of(key), self.of(key), message)

    def section(self, key: str, keys: Sequence[str] | None) -> Section:
        """Return the mapping under a key; an empty one if the key is missing."""
        return Section(self.node(key), self.of(key), self.problems, self._table.keys.get(key, self.place), keys)

    def require(self, key: str) -> bool:
        """Say whether the key is there, and note it if not (unless there is no mapping at all, which has been noted)."""
        if key not in self._table.keys and self._is_mapping:
            self.problems.add(self.place, self.path, f"required key '{key}' is missing")
        return key in self._table.nodes

    def entries(self, keys: Sequence[str] | None) -> Iterator[tuple[str, Section]]:
        """Go through a mapping of names; each must be a name as queues and lanes have it, each value a mapping with `keys`."""
        for name, node in self._table.nodes.items():
            if check_name(name) is not None:
                self.problems.add(self._table.keys[name], self.of(name), f"{check_name(name)}")
            yield name, Section(node, self.of(name), self.problems, self._table.keys[name], keys)

    def integer(self, key: str, default: int, low: int, high: int, word: str | None = None) -> int:
        """Read a whole number from low to high; `word` (such as `auto`) gives the default too."""
        scalar = self._scalar(key)
        if scalar is None or (word is not None and scalar.value == word):
            return default
        if type(scalar.value) is int and low <= scalar.value <= high:
            return scalar.value
        return self._wrong(key, f"{f'{word} or ' if word else ''}a whole number from {low} to {high}", default)

    def boolean(self, key: str, default: bool) -> bool:
        """Read true or false."""
        scalar = self._scalar(key)
        if scalar is None or type(scalar.value) is bool:
            return default if scalar is None else bool(scalar.value)
        return self._wrong(key, "true or false", default)

    def duration(self, key: str, default_s: float, low_s: float, high_s: float) -> float:
        """Read a duration in seconds, from low_s to high_s."""
        return self._quantity(key, parse_duration, format_duration, default_s, low_s, high_s)

    def size(self, key: str, default_bytes: int, low_bytes: int, high_bytes: int, word: str | None = None) -> int:
        """Read a size in bytes, from low_bytes to high_bytes; `word` is named as what else may stand there."""
        return self._quantity(key, parse_size, format_size, default_bytes, low_bytes, high_bytes, f"{word} or " if word else "")

    def says(self, key: str, word: str) -> bool:
        """Say whether the key is missing or holds just this word, such as `auto`."""
        node = self.node(key)
        return key not in self._table.keys or (isinstance(node, Scalar) and node.value == word)

    def text(self, key: str) -> str | None:
        """Read a string; None if the key is missing or holds something else (noted)."""
        scalar = self._scalar(key)
        if scalar is None or isinstance(scalar.value, str):
            return None if scalar is None else str(scalar.value)
        return self._wrong(key, "a string", None)

    def items(self, key: str) -> list[Node]:
        """Read a list; empty if the key is missing or holds something else (noted)."""
        node = self.node(key)
        if isinstance(node, Items):
            return node.nodes
        if node is not None and not _refused(node):
            self._wrong(key, "a list", None)
        return []

    def _quantity(
        self,
        key: str,
        parse: Callable[[object], Number],
        show: Callable[[float], str],
        default: Number,
        low: Number,
        high: Number,
        other: str = "",
    ) -> Number:
        scalar = self._scalar(key)
        if scalar is None:
            return default
        try:
            value = parse(scalar.value)
        except ValueError as error:
            self.note(key, str(error).replace("expected ", f"expected {other}", 1))
            return default
        if not low <= value <= high:
            self.note(key, f"expected {other}{show(low)} to {show(high)}, got {shown(scalar.raw)}")
            return default
        return value

    def _scalar(self, key: str) -> Scalar | None:
        """Return the scalar under a key; None if it is missing, was refused already, or is none or empty (noted)."""
        node = self.node(key)
        if node is None or _refused(node):
            return None
        if isinstance(node, Scalar) and node.value is not None:
            return node
        return self._wrong(key, "a single value", None)

    def _wrong(self, key: str, expected: str, default: Default) -> Default:
        node = self.node(key)
        self.note(key, f"expected {expected}, got {describe(node) if node is not None else 'nothing'}")
        return default


def describe(node: Node) -> str:
    """Say what stands there, for `got ...`."""
    if isinstance(node, Scalar):
        if node.value is None:
            return "nothing"
        return f"'{shown(node.raw)}'" if isinstance(node.value, str) else shown(node.raw)
    return "a list" if isinstance(node, Items) else "a mapping"


def check_name(name: str) -> str | None:
    """Say what is wrong with the name of a queue, a lane or an instance; None if nothing is."""
    if _NAME.fullmatch(name):
        return None
    return f"expected a name of up to 63 small letters, digits and _ . : - that begins with a letter or digit, got '{shown(name)}'"


def plain(node: Node) -> Any:
    """Return a part of the file as plain data: dicts, lists and scalars."""
    if isinstance(node, Table):
        return {key: plain(value) for key, value in node.nodes.items()}
    if isinstance(node, Items):
        return [plain(value) for value in node.nodes]
    return node.value


def has_refused(node: Node) -> bool:
    """Say whether anything in this part of the file was refused while it was parsed."""
    if isinstance(node, Table):
        return any(has_refused(value) for value in node.nodes.values())
    if isinstance(node, Items):
        return any(has_refused(value) for value in node.nodes)
    return node.refused


def _refused(node: Node) -> bool:
    return isinstance(node, Scalar) and node.refused
