"""Reads one mapping of a configuration by what is declared of its keys. A problem is noted and the default returned: reading goes on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from farm.config.keys import OFF, ON, Address, Choice, Duration, Flag, Key, Names, Pause, Percent, Size, Whole
from farm.config.problems import Place, Problems, did_you_mean, shown
from farm.config.scalars import Value, read_plain
from farm.config.tree import Items, Node, Scalar, Table
from farm.model import NAME_PATTERN
from farm.units import format_duration, parse_duration, parse_retry, parse_size, written_size

Default = TypeVar("Default")
Declared = TypeVar("Declared", bound=Key)
Number = TypeVar("Number", int, float)

ADDRESS_PATTERN = r"^[A-Za-z0-9.:_%-]{1,253}$"
"""What the name or address of a machine is made of. Whether there is one like that is found out when it is used."""

_NAME = re.compile(NAME_PATTERN, re.ASCII)


class Section:
    """The mapping at `path`, or an empty one where something else stands (noted) or nothing.

    `keys` are those that it may have; None for a mapping of names that the user chooses.
    """

    def __init__(self, node: Node | None, path: str, problems: Problems, place: Place, keys: Mapping[str, Key] | None) -> None:
        self._keys = keys or {}
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

    def section(self, key: str, keys: Mapping[str, Key] | None) -> Section:
        """Return the mapping under a key; an empty one if the key is missing."""
        return Section(self.node(key), self.of(key), self.problems, self._table.keys.get(key, self.place), keys)

    def require(self, key: str) -> bool:
        """Say whether the key is there, and note it if not (unless there is no mapping at all, which has been noted)."""
        if not self.has(key):
            self.missing(key)
        return key in self._table.nodes

    def missing(self, key: str, hint: str = "") -> None:
        """Note that a key is missing, unless there is no mapping at all."""
        if self._is_mapping:
            self.problems.add(self.place, self.path, f"required key '{key}' is missing{hint}")

    def entries(self, keys: Mapping[str, Key] | None) -> Iterator[tuple[str, Section]]:
        """Go through a mapping of names; each must be a name as queues and lanes have it, each value a mapping with `keys`."""
        for name, node in self._table.nodes.items():
            if check_name(name) is not None:
                self.problems.add(self._table.keys[name], self.of(name), f"{check_name(name)}")
            yield name, Section(node, self.of(name), self.problems, self._table.keys[name], keys)

    def has(self, key: str) -> bool:
        """Say whether the key is there, whatever stands under it."""
        return key in self._table.keys

    def patterns(self, keys: Mapping[str, Key]) -> Iterator[tuple[str, Section]]:
        """Go through a mapping of patterns of tasks, in its order, each value a mapping with `keys`."""
        everything: Place | None = None
        for pattern, node in self._table.nodes.items():
            place = self._table.keys[pattern]
            if everything is not None:
                self.problems.add(place, self.of(pattern), f"no task gets here: '*' on line {everything.line} matches them all")
            elif pattern == "*":
                everything = place
            yield pattern, Section(node, self.of(pattern), self.problems, place, keys)

    def integer(self, key: str, auto: int | None = None) -> int:
        """Read a whole number; auto is what the key's word (`auto`) comes to."""
        declared = self._declared(key, Whole)
        default = auto if isinstance(declared.default, str) else declared.default
        assert default is not None, f"{key} can be {declared.word}: what is that?"
        scalar = self._scalar(key)
        if scalar is None or (declared.word is not None and scalar.value == declared.word):
            return default
        number = value_of(scalar)
        if type(number) is int and declared.low <= number <= declared.high:
            return number
        return self._wrong(key, f"{_or(declared.word)}a whole number from {declared.low} to {declared.high}", default)

    def boolean(self, key: str) -> bool:
        """Read true or false."""
        default = self._declared(key, Flag).default
        scalar = self._scalar(key)
        if scalar is None:
            return default
        value = value_of(scalar)
        return value if type(value) is bool else self._wrong(key, "true or false", default)

    def choice(self, key: str) -> str:
        """Read one of the key's words."""
        declared = self._declared(key, Choice)
        scalar = self._scalar(key)
        if scalar is None:
            return declared.default
        value = value_of(scalar)
        word = (ON if value else OFF) if type(value) is bool else value
        if isinstance(word, str) and word in declared.words:
            return word
        *first, last = (f"'{word}'" if word in (ON, OFF) else word for word in declared.words)
        return self._wrong(key, f"{', '.join(first)} or {last}", declared.default)

    def duration(self, key: str) -> float:
        """Read a duration in seconds; 0 for one that is missing and has no default, and for the key's word."""
        declared = self._declared(key, Duration)
        default = 0.0 if declared.default in (None, declared.word) else parse_duration(declared.default)
        if declared.word is not None and self.holds(key, declared.word):
            return 0.0
        return self._quantity(key, parse_duration, format_duration, default, declared.low_s, declared.high_s, _or(declared.word))

    def pause(self, key: str) -> tuple[float, float | None]:
        """Read how long to wait before another attempt: (base_s, cap_s or None), as parse_retry gives them."""
        default = parse_retry(self._declared(key, Pause).default)
        scalar = self._scalar(key)
        if scalar is None:
            return default
        try:
            return parse_retry(scalar.value)
        except ValueError as error:
            self.note(key, _without_value(str(error), scalar))
            return default

    def names(self, key: str) -> tuple[str, ...]:
        """Read a list of words."""
        assert isinstance(self._keys[key], Names)
        names = []
        for index, node in enumerate(self.items(key)):
            if isinstance(node, Scalar) and isinstance(node.value, str) and node.value:
                names.append(node.value)
            elif not _refused(node):
                self.problems.add(node.place, f"{self.of(key)}[{index}]", f"expected a name, got {describe(node)}")
        return tuple(names)

    def size(self, key: str, auto: int | None = None) -> int:
        """Read a size in bytes; auto is what the key's word (`auto`) comes to, and `never` is 0."""
        declared = self._declared(key, Size)
        default = auto if declared.default == declared.word else parse_size(declared.default)
        assert default is not None, f"{key} can be {declared.word}: what is that?"
        if declared.word is not None and self.says(key, declared.word):
            return default
        if declared.never is not None and self.holds(key, declared.never):
            return 0
        words = _or(declared.word) + _or(declared.never)
        return self._quantity(key, parse_size, written_size, default, declared.low_bytes, declared.high_bytes, words)

    def percent(self, key: str) -> float:
        """Read a number from 0 to 100; 0 for the key's word."""
        declared = self._declared(key, Percent)
        scalar = self._scalar(key)
        if scalar is None:
            return declared.default
        value = value_of(scalar)
        if value == declared.word:
            return 0.0
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 100:
            return float(value)
        return self._wrong(key, f"{_or(declared.word)}a number of percent from 0 to 100", declared.default)

    def says(self, key: str, word: str) -> bool:
        """Say whether the key is missing or holds just this word, such as `auto`."""
        return not self.has(key) or self.holds(key, word)

    def holds(self, key: str, word: str) -> bool:
        """Say whether the key is there and holds just this word, such as `never`."""
        node = self.node(key)
        return isinstance(node, Scalar) and node.value == word

    def text(self, key: str) -> str | None:
        """Read a string; None if the key is missing or holds something else (noted)."""
        scalar = self._scalar(key)
        if scalar is None or isinstance(scalar.value, str):
            return None if scalar is None else str(scalar.value)
        return self._wrong(key, "a string", None)

    def address(self, key: str) -> str:
        """Read the name or the address of a machine."""
        default = self._declared(key, Address).default
        text = self.text(key)
        if text is None or re.match(ADDRESS_PATTERN, text):
            return default if text is None else text
        return self._wrong(key, f"a name or an address such as {default}", default)

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
        show: Callable[[Number], str],
        default: Number,
        low: Number,
        high: Number,
        other: str,
    ) -> Number:
        scalar = self._scalar(key)
        if scalar is None:
            return default
        try:
            value = parse(scalar.value)
        except ValueError as error:
            self.note(key, _without_value(str(error), scalar).replace("expected ", f"expected {other}", 1))
            return default
        if not low <= value <= high:
            self.note(
                key, f"expected {other}{show(low)} to {show(high)}, got {describe(scalar) if scalar.filled_in else shown(scalar.raw)}"
            )
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

    def _declared(self, key: str, kind: type[Declared]) -> Declared:
        declared = self._keys[key]
        assert isinstance(declared, kind), f"{self.of(key)} is declared as {type(declared).__name__}"
        return declared

    def _wrong(self, key: str, expected: str, default: Default) -> Default:
        node = self.node(key)
        self.note(key, f"expected {expected}, got {describe(node) if node is not None else 'nothing'}")
        return default


def describe(node: Node) -> str:
    """Say what stands there, for `got ...`; of a variable's value only whose it is."""
    if isinstance(node, Scalar):
        if node.filled_in:
            return f"the value of {shown(node.raw)}"
        if node.value is None:
            return "nothing"
        return f"'{shown(node.raw)}'" if isinstance(node.value, str) else shown(node.raw)
    return "a list" if isinstance(node, Items) else "a mapping"


def value_of(scalar: Scalar) -> Value:
    """Return a scalar's value; that of a variable is read as if it stood in the file without quotes, and is nothing but a scalar."""
    if not scalar.filled_in or not isinstance(scalar.value, str):
        return scalar.value
    try:
        return read_plain(scalar.value)
    except ValueError:
        return scalar.value


def check_name(name: str, got: str | None = None) -> str | None:
    """Say what is wrong with the name of a queue, a lane or an instance, None if nothing is; got is how to show it."""
    if _NAME.fullmatch(name):
        return None
    expected = "expected a name of up to 63 small letters, digits and _ . : - that begins with a letter or digit"
    return f"{expected}, got {got or _quoted(name)}"


def plain(node: Node) -> Any:
    """Return a part of the file as plain data: dicts, lists and scalars."""
    if isinstance(node, Table):
        return {key: plain(value) for key, value in node.nodes.items()}
    if isinstance(node, Items):
        return [plain(value) for value in node.nodes]
    return node.value


def filled_in(node: Node) -> list[Scalar]:
    """Return the scalars of this part of the file that hold what environment variables hold."""
    if isinstance(node, Scalar):
        return [node] if node.filled_in else []
    children = node.nodes.values() if isinstance(node, Table) else node.nodes
    return [scalar for child in children for scalar in filled_in(child)]


def has_refused(node: Node) -> bool:
    """Say whether anything in this part of the file was refused while it was parsed."""
    if isinstance(node, Table):
        return any(has_refused(value) for value in node.nodes.values())
    if isinstance(node, Items):
        return any(has_refused(value) for value in node.nodes)
    return node.refused


def _quoted(text: str) -> str:
    return f"'{shown(text)}'"


def _without_value(message: str, scalar: Scalar) -> str:
    """Return a message of a parser, which ends with what it got; that of a variable is not shown."""
    return f"{message.partition(', got ')[0]}, got {describe(scalar)}" if scalar.filled_in else message


def _or(word: str | None) -> str:
    return f"{word} or " if word else ""


def _refused(node: Node) -> bool:
    return isinstance(node, Scalar) and node.refused
