"""Turns YAML into a small tree of nodes that know where they stand. Bounded in depth and size, and without YAML's traps."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from farm.config.environment import Environment
from farm.config.problems import START, Place, Problems, shown
from farm.config.scalars import Value, read_plain

DEPTH_MAX = 32
NODES_MAX = 50_000

_TAGS = "tag:yaml.org,2002:"
_UNWANTED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_EVENTS = yaml.events


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value; raw is what stands in the file. A refused one has had its problem noted: nobody need complain again."""

    place: Place
    value: Value
    raw: str
    refused: bool = False
    filled_in: bool = False
    """value holds what environment variables hold, so it is text of any shape, and no message may show it."""


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    place: Place
    nodes: list[Node]


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping; keys holds where each key stands."""

    place: Place
    nodes: dict[str, Node]
    keys: dict[str, Place]


Node = Scalar | Items | Table


class _Unreadable(Exception):
    """Nothing after this can be read; the problem has been noted."""


def read_tree(text: str, problems: Problems, environ: Mapping[str, str]) -> Node | None:
    """Return the root of the only document in text, or None if there is none. Problems are noted, never raised."""
    composer = _Composer(problems, Environment(environ))
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            composer.take(event)
    except _Unreadable:
        return None
    except yaml.YAMLError as error:
        _note_syntax_error(error, text, problems)
        return None
    return composer.root


class _Composer:
    """Builds the tree from the parser's events without recursion: PyYAML's own composer overflows the stack on deep input."""

    def __init__(self, problems: Problems, environment: Environment) -> None:
        self.root: Node | None = None
        self._problems = problems
        self._environment = environment
        self._open: list[_Open] = []
        self._documents = 0
        self._nodes = 0

    def take(self, event: Any) -> None:
        if isinstance(event, _EVENTS.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                self._fail(event, "a second document begins here; a configuration is one document")
        elif isinstance(event, _EVENTS.AliasEvent):
            self._fail(event, f"aliases (*{shown(str(event.anchor))}) are not supported: write it out, or quote it if it is meant as text")
        elif isinstance(event, _EVENTS.ScalarEvent):
            self._count(event)
            self._place(self._scalar(event))
        elif isinstance(event, _EVENTS.SequenceStartEvent | _EVENTS.MappingStartEvent):
            self._count(event)
            self._begin(event)
        elif isinstance(event, _EVENTS.SequenceEndEvent | _EVENTS.MappingEndEvent):
            self._place(self._open.pop().node)

    def _begin(self, event: Any) -> None:
        place = _place_of(event)
        if len(self._open) >= DEPTH_MAX:
            self._fail(event, f"more than {DEPTH_MAX} levels deep")
        is_table = isinstance(event, _EVENTS.MappingStartEvent)
        if event.tag not in (None, "!", _TAGS + ("map" if is_table else "seq")):
            self._problems.add(place, self._path(), f"tags ({shown(event.tag)}) are not supported")
        self._open.append(_Open(Table(place, {}, {}) if is_table else Items(place, [])))

    def _place(self, node: Node) -> None:
        """Put a finished node where it belongs: into the list or mapping that is open, as its key or its value."""
        if not self._open:
            self.root = node
            return
        parent = self._open[-1]
        if isinstance(parent.node, Items):
            parent.node.nodes.append(node)
        elif not parent.wants_value:
            parent.key = self._key(parent.node, node)
            parent.wants_value = True
        else:
            parent.wants_value = False
            if parent.key is not None:
                parent.node.nodes[parent.key] = node

    def _key(self, table: Table, node: Node) -> str | None:
        """Return the key, or None for one that cannot be used: its value is read and dropped."""
        path = self._path()
        if not isinstance(node, Scalar) or not isinstance(node.value, str) or not node.value:
            what = f"{shown(node.raw) or 'nothing'}: quote it" if isinstance(node, Scalar) else "a list or a mapping"
            self._problems.add(node.place, path, f"expected a word as a key, got {what}")
            return None
        key = node.value
        if key in table.keys:
            self._problems.add(node.place, _joined(path, key), f"duplicate key, first defined on line {table.keys[key].line}")
            return None
        table.keys[key] = node.place
        return key

    def _scalar(self, event: Any) -> Scalar:
        place, raw = _place_of(event), event.value
        unwanted = _UNWANTED.search(raw)
        if unwanted is not None:
            self._problems.add(place, self._path(), f"the character U+{ord(unwanted.group()):04X} is not allowed here")
            return Scalar(place, "?", "?", refused=True)
        try:
            if event.tag not in (None, "!", _TAGS + "str"):
                raise ValueError(f"tags ({shown(event.tag)}) are not supported")
            plain = event.tag is None and event.style in (None, "")
            value = read_plain(raw) if plain else raw
            if not isinstance(value, str) or self._at_key:
                return Scalar(place, value, raw)
            text, filled_in = self._environment.fill_in(value)
            return Scalar(place, text, raw, filled_in=filled_in)
        except ValueError as error:
            self._problems.add(place, self._path(), str(error))
            return Scalar(place, raw, raw, refused=True)

    @property
    def _at_key(self) -> bool:
        """True where the next scalar is a key of a mapping: nothing is filled into keys."""
        return bool(self._open) and isinstance(self._open[-1].node, Table) and not self._open[-1].wants_value

    def _count(self, event: Any) -> None:
        self._nodes += 1
        if self._nodes > NODES_MAX:
            self._fail(event, f"more than {NODES_MAX} values")

    def _fail(self, event: Any, message: str) -> None:
        self._problems.add(_place_of(event), shown(self._path()), message)
        raise _Unreadable

    def _path(self) -> str:
        path = ""
        for entry in self._open:
            if isinstance(entry.node, Items):
                path += f"[{len(entry.node.nodes)}]"
            elif entry.wants_value and entry.key is not None:
                path = _joined(path, entry.key)
        return path


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not come yet."""

    node: Items | Table
    key: str | None = None
    wants_value: bool = False


def _joined(path: str, key: str) -> str:
    return f"{path}.{shown(key)}" if path else shown(key)


def _place_of(event: Any) -> Place:
    return Place(event.start_mark.line + 1, event.start_mark.column + 1)


def _note_syntax_error(error: yaml.YAMLError, text: str, problems: Problems) -> None:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    reason = getattr(error, "problem", None) or getattr(error, "reason", None) or "not YAML"
    if mark is None:
        problems.add(START, "", shown(str(reason)))
        return
    lines = text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    around = line[max(mark.column - 1, 0) : mark.column + 1]
    problems.add(Place(mark.line + 1, mark.column + 1), "", str(reason) + _hint(line, around))


def _hint(line: str, around: str) -> str:
    if around == "${":
        return "; a variable inside of {...} or [...] must be quoted"
    if "*" in around:
        return "; an asterisk must be quoted: '*'"
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return "; indent with spaces, not tabs"
    for char in "@`%&!":
        if char in around:
            return f"; text that begins with {char} must be quoted"
    return ""
