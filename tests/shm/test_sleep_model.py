"""Every interleaving of the sleeping flag of a ring: a consumer never sleeps beside a frame without a wake on its way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import pytest

from tests.shm.tso import Action, Fence, Load, Memory, Store, World, explore, successors

pytestmark = pytest.mark.model

HEAD, CWAIT, WAKES = range(3)
FRAMES = 3
PRODUCE = ("head", "fence", "flag", "unflag", "wake")
SLEEP = ("read", "arm", "fence", "look", "sleep")

MISTAKES = {
    "no fence after the head": (("head", "flag", "unflag", "wake"), SLEEP),
    "no fence after the flag": (PRODUCE, ("read", "arm", "look", "sleep")),
    "no second look": (PRODUCE, ("read", "arm", "fence", "sleep")),
    "woken before the flag is taken down": (("head", "fence", "flag", "wake", "unflag"), SLEEP),
}


class Producer(NamedTuple):
    at: str = "head"
    head: int = 0
    wakes: int = 0


class Consumer(NamedTuple):
    at: str = "read"
    cursor: int = 0
    wakes: int = 0
    """Wakes that it has seen, as the counter of its eventfd."""


def run_producer(order: Sequence[str], me: Producer) -> Sequence[Action]:
    """publish or put, then wake_sleeper."""
    after = me._replace(at="head" if me.at == order[-1] else order[order.index(me.at) + 1])
    match me.at:
        case "head":
            return [Store(HEAD, me.head + 1, after._replace(head=me.head + 1))] if me.head < FRAMES else []
        case "fence":
            return [Fence(after)]
        case "flag":
            return [Load(lambda memory: after if memory[CWAIT] else me._replace(at="head"))]
        case "unflag":
            return [Store(CWAIT, 0, after)]
    return [Store(WAKES, me.wakes + 1, after._replace(wakes=me.wakes + 1))]


def run_consumer(order: Sequence[str], me: Consumer) -> Sequence[Action]:
    """Read until empty, arm, sleep."""
    after = me._replace(at="read" if me.at in (order[-1], "withdraw") else order[order.index(me.at) + 1])

    def sleep(memory: Memory) -> Consumer:
        return after._replace(wakes=memory[WAKES]) if memory[WAKES] != me.wakes else me

    match me.at:
        case "read":
            return [Load(lambda memory: me._replace(cursor=memory[HEAD]) if memory[HEAD] > me.cursor else after)]
        case "arm":
            return [Store(CWAIT, 1, after)]
        case "fence":
            return [Fence(after)]
        case "look":
            return [Load(lambda memory: after if memory[HEAD] == me.cursor else me._replace(at="withdraw"))]
        case "withdraw":
            return [Store(CWAIT, 0, me._replace(at="read"))]
    return [Load(sleep)]


def explored(produce: Sequence[str], sleep: Sequence[str]) -> tuple[int, str | None]:
    """Explore both programs with these orders of their steps."""
    processes = (partial(run_producer, produce), partial(run_consumer, sleep))

    def step(world: World) -> Iterator[World]:
        return successors(world, processes)

    def no_fault(world: World) -> Iterator[World]:
        return iter(())

    def complain(world: World, is_end: bool) -> str | None:
        return "asleep beside a frame" if is_end and world.locals[1].cursor < FRAMES else None

    return explore(World((0, 0, 0), ((), ()), (Producer(), Consumer())), step, no_fault, complain)


def test_no_wake_is_lost() -> None:
    worlds, complaint = explored(PRODUCE, SLEEP)
    assert complaint is None
    assert worlds > 300


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_planted_mistake_is_found(mistake: str) -> None:
    assert explored(*MISTAKES[mistake])[1] is not None
