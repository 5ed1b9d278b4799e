"""A small explorer of what processes on one machine may see of each other's stores, breadth first, every interleaving.

Each process has a first-in-first-out store buffer between itself and the memory (the model of x86 processors): a store goes
into the buffer, leaves it at any later moment, and a load looks into the own buffer first. A fence waits for an empty buffer.
A process is a function from its local state to the actions that it may take next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

Memory = tuple[int, ...]


class Store(NamedTuple):
    """Store a value into a word, then go on with `then`."""

    word: int
    value: int
    then: Any


class Fence(NamedTuple):
    then: Any


class Load(NamedTuple):
    """Look at the memory, own stores included, and go on with what `then` makes of it."""

    then: Callable[[Memory], Any]


Action = Store | Fence | Load
Process = Callable[[Any], Sequence[Action]]


class World(NamedTuple):
    memory: Memory
    buffers: tuple[tuple[tuple[int, int], ...], ...]
    locals: tuple[Any, ...]


def seen_by(world: World, who: int) -> Memory:
    """Return the memory as one process sees it."""
    memory = list(world.memory)
    for word, value in world.buffers[who]:
        memory[word] = value
    return tuple(memory)


def flushed(world: World, who: int) -> World:
    """Return the world after a process's buffer went to memory: what an interrupt does, so also a kill."""
    return world._replace(memory=seen_by(world, who), buffers=_put(world.buffers, who, ()))


def successors(world: World, processes: Sequence[Process]) -> Iterator[World]:
    """Yield every world that is one step away."""
    for who, process in enumerate(processes):
        buffer = world.buffers[who]
        if buffer:
            word, value = buffer[0]
            yield world._replace(memory=_put(world.memory, word, value), buffers=_put(world.buffers, who, buffer[1:]))
        for action in process(world.locals[who]):
            match action:
                case Store(word, value, then):
                    buffers = _put(world.buffers, who, (*buffer, (word, value)))
                    yield World(world.memory, buffers, _put(world.locals, who, then))
                case Fence(then):
                    if not buffer:
                        yield world._replace(locals=_put(world.locals, who, then))
                case Load(then):
                    yield world._replace(locals=_put(world.locals, who, then(seen_by(world, who))))


def explore(
    start: World,
    step: Callable[[World], Iterator[World]],
    fault: Callable[[World], Iterator[World]],
    check: Callable[[World, bool], str | None],
) -> tuple[int, str | None]:
    """Visit every world that steps and faults lead to. Returns how many there are, and the first complaint of `check`.

    `check` gets each world and whether it is an end: one that no step leads out of, whatever faults may still come.
    """
    seen, layer = {start}, [start]
    while layer:
        ahead = []
        for world in layer:
            following = [other for other in step(world) if other != world]
            complaint = check(world, not following)
            if complaint:
                return len(seen), complaint
            for other in (*following, *fault(world)):
                if other not in seen:
                    seen.add(other)
                    ahead.append(other)
        layer = ahead
    return len(seen), None


def _put(values: tuple[Any, ...], index: int, value: Any) -> tuple[Any, ...]:
    return (*values[:index], value, *values[index + 1 :])
