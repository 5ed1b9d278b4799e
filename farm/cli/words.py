"""The words of the command line as data, taken from its parsers: what shells complete."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

FILES = frozenset({"FILE", "CONFIG"})
"""Arguments with these names are files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option."""

    names: tuple[str, ...]
    """`--json`, `-h`."""
    help: str
    takes_value: bool
    choices: tuple[str, ...] = ()
    is_file: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What may follow a command."""

    name: str
    help: str
    options: tuple[Option, ...]
    choices: tuple[str, ...] = ()
    """Of its first argument: `check` and `schema` of `farm config`."""
    takes_files: bool = False


def words_of(parsers: Mapping[str, argparse.ArgumentParser], about: Mapping[str, str]) -> list[Words]:
    """Return the words of every command; about: what each does, in a line. Options of actions below a command count as its own."""
    return [_words(name, parser, about[name]) for name, parser in parsers.items()]


def _words(name: str, parser: argparse.ArgumentParser, about: str) -> Words:
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    choices = [str(choice) for action in below for choice in action.choices]
    parsers = [parser, *(parser for action in below for parser in action.choices.values())]
    positionals = [action for one in parsers for action in one._actions if not action.option_strings and action not in below]
    options: dict[tuple[str, ...], Option] = {}
    for option in (option for one in parsers for option in _options(one)):
        options.setdefault(option.names, option)
    choices += [str(choice) for action in positionals for choice in action.choices or ()]
    takes_files = any(action.metavar in FILES for action in positionals)
    return Words(name=name, help=about, options=tuple(options.values()), choices=tuple(choices), takes_files=takes_files)


def _options(parser: argparse.ArgumentParser) -> Iterator[Option]:
    for action in parser._actions:
        if not action.option_strings or action.help == argparse.SUPPRESS:
            continue
        choices = tuple(str(choice) for choice in action.choices or ())
        names = tuple(action.option_strings)
        # Of help texts the first words say it; the rest is for those who read on.
        help_text = " ".join((action.help or "").split())
        for end in (";", ": ", " (default"):
            help_text = help_text.partition(end)[0]
        yield Option(
            names=names,
            help=help_text,
            takes_value=action.nargs != 0,
            choices=choices,
            is_file=action.metavar in FILES or "--file" in names,
        )
