"""Reads lanes in their one-line form, `fast_lane:1 manual>*:4`: a chain of queues, and how many subworkers serve it. No I/O."""

from __future__ import annotations

from typing import Final

from farm.config.keys import LANES, Whole
from farm.config.model import ANYTHING, LanesSource
from farm.config.problems import START, shown
from farm.config.section import check_name
from farm.config.tree import Items, Scalar, Table
from farm.errors import ConfigError

FLAG: Final = "--lanes"
VARIABLE: Final = "FARM_LANES"
CHARACTERS_MAX = 100_000
ANY = "any"
"""The name of a lane whose chain is `*` alone."""
NAME_CHARACTERS_MAX = 63

_DIGITS_MAX = 9


def read_one_line(text: str, source: LanesSource) -> Table:
    """Return what the one-line form says as the section `lanes` of a file would say it: every lane with queues and subworkers.

    A lane is named after the first queue of its chain, `any` where that is `*`; the second of the same name has `-2` behind it. source,
    `--lanes` or `FARM_LANES`, begins every problem. Raises ConfigError with all of them.
    """
    words = text.split() if len(text) <= CHARACTERS_MAX else []
    if not words:
        raise ConfigError([f"{source}: expected lanes such as 'fast:1 manual>*:4', got {'nothing' if not text.strip() else 'too much'}"])
    problems: list[str] = []
    lanes = Table(START, {}, {})
    chains: dict[tuple[str, ...], str] = {}
    for word in words:
        complaint, queues, subworkers = _read_lane(word)
        if complaint is None and queues in chains:
            complaint = f"the same lane as '{shown(chains[queues])}': write one of the two, with the subworkers of both"
        if complaint is not None:
            problems.append(f'{source}: "{shown(word)}": {complaint}')
            continue
        chains[queues] = word
        name = _free_name(queues, lanes)
        lanes.keys[name] = START
        lanes.nodes[name] = _as_node(queues, subworkers)
    if problems:
        raise ConfigError(problems)
    return lanes


def _read_lane(word: str) -> tuple[str | None, tuple[str, ...], int]:
    """Return what is wrong with a lane (None: nothing), its chain, and its subworkers."""
    chain, colon, number = word.rpartition(":")
    if not colon:
        return "expected ':' and a number of subworkers behind the queues, such as 'manual>*:4'", (), 0
    queues = tuple(chain.split(">"))
    declared = LANES.keys["subworkers"]
    assert isinstance(declared, Whole)
    is_number = number.isascii() and number.isdigit() and len(number) <= _DIGITS_MAX
    if not is_number:
        return f"expected a number of subworkers after ':', got {_quoted(number)}", queues, 0
    if not declared.low <= int(number) <= declared.high:
        return f"expected {declared.low} to {declared.high} subworkers after ':', got {number}", queues, 0
    return _wrong_with(queues), queues, int(number)


def _wrong_with(queues: tuple[str, ...]) -> str | None:
    for index, queue in enumerate(queues):
        if not queue:
            return "expected the name of a queue " + ("before ':'" if len(queues) == 1 else "before and after each '>'")
        if queue == ANYTHING:
            if index != len(queues) - 1:
                return "'*' takes from any queue, so it can only be the last one"
        elif (complaint := check_name(queue)) is not None:
            return complaint
        if queue in queues[:index]:
            return f"{_quoted(queue)} stands in this chain already"
    return None


def _free_name(queues: tuple[str, ...], taken: Table) -> str:
    name = wanted = ANY if queues[0] == ANYTHING else queues[0]
    number = 1
    while name in taken.nodes:
        number += 1
        suffix = f"-{number}"
        name = wanted[: NAME_CHARACTERS_MAX - len(suffix)] + suffix
    return name


def _as_node(queues: tuple[str, ...], subworkers: int) -> Table:
    chain = Items(START, [Scalar(START, queue, queue) for queue in queues])
    return Table(START, {"queues": chain, "subworkers": Scalar(START, subworkers, str(subworkers))}, {"queues": START, "subworkers": START})


def _quoted(text: str) -> str:
    return f"'{shown(text)}'" if text else "nothing"
