"""Every interleaving of the stores of start and recall, with store buffers and a kill of the subworker at any moment.

In no world is a frame both the supervisor's again and started, and in no end is one lost. Every mistake that is planted is found,
so the order of stores in farm/shm/start.py is as it is for a reason each time. Explored with one slot, where a job ends before
the next one is looked at, and with two, where jobs end whenever they like, during an answer's wait too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import pytest

from tests.shm.tso import Action, Fence, Load, Memory, Store, World, explore, flushed, successors

pytestmark = pytest.mark.model

RECALL, ACK, ACK_SEQ, MARKED_SEQ, JOB_HEAD, RESULTS, ROW_SEQ, STATE = (0, 1, 2, 3, 4, 5, (6, 8), (7, 9))
"""Words of the memory; the last two are a word for each slot."""
WORDS = 10
FREE, MARKED, RUNNING = range(3)
SUBWORKER, SUPERVISOR = 0, 1


class Bounds(NamedTuple):
    """How much is explored."""

    slots: int
    frames_first: int
    frames_max: int
    recalls_max: int


ONE_SLOT, TWO_SLOTS = Bounds(1, 3, 7, 3), Bounds(2, 2, 4, 2)

START = ("look", "take", "row", "marked", "state", "fence", "recall", "begin")
END = ("publish", "free")
ANSWER = ("empty", "ack_seq", "ack", "withdraw")
TAKE_BACK = ("store", "fence", "marked", "answer", "answered", "lift", "send")

Orders = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[str, ...]]
OTHER_ORDERS: dict[str, Orders] = {
    "no fence before the look at recall": (tuple(step for step in START if step != "fence"), END, ANSWER, TAKE_BACK),
    "recall not looked at": (tuple(step for step in START if step != "recall"), END, ANSWER, TAKE_BACK),
    "marked stored after the look": (("look", "take", "row", "state", "fence", "recall", "marked", "begin"), END, ANSWER, TAKE_BACK),
    "started before the look": (("look", "take", "row", "marked", "begin", "fence", "recall"), END, ANSWER, TAKE_BACK),
    "slot freed before publishing": (START, ("free", "publish"), ANSWER, TAKE_BACK),
    "ack before ack_seq": (START, END, ("empty", "ack", "ack_seq", "withdraw"), TAKE_BACK),
    "ring emptied after the ack": (START, END, ("ack_seq", "ack", "empty", "withdraw"), TAKE_BACK),
    "no fence after the store of recall": (START, END, ANSWER, tuple(step for step in TAKE_BACK if step != "fence")),
    "marked looked at before the store of recall": (START, END, ANSWER, ("marked", "store", "fence", *TAKE_BACK[3:])),
    "recall lifted before the ack": (START, END, ANSWER, ("store", "fence", "marked", "lift", "send")),
}
OTHER_RULES = (
    "an old ack counts",
    "the marked frame is taken without an answer",
    "a free row is taken for a job that was not started",
    "a free row is taken for a job that was started",
    "buried without a look into the result ring",
    "buried without a look at the slot",
)


class Subworker(NamedTuple):
    at: str
    slots: tuple[int, ...]
    """The frame of the job that is marked or runs in each slot, 0 = free."""
    next_seq: int = 1
    """What it will start next."""
    taken: int = 0
    """The last frame that it has out of the ring."""
    number: int = 0
    slot: int = 0
    """The one at which it is."""
    then: str = ""
    """Where it goes on when a job has ended."""
    started: int = 0
    """As a set of bits, kept by the model: frames whose job has begun."""
    published: int = 0


class Supervisor(NamedTuple):
    """Its registers; the last three are sets of bits."""

    at: str
    number: int = 0
    marked: int = 0
    handed: int = 0
    mine: int = 0
    running: int = 0
    """Frames that it has declared started, because it saw their row."""
    crashed: int = 0


def frames(first: int, last: int) -> int:
    """Return the set of the frames first to last."""
    return sum(1 << seq for seq in range(first, last + 1))


def run_subworker(orders: Orders, me: Subworker) -> Sequence[Action]:
    """The program of StartGate and of the loops around it: one action for each store and each look."""
    start, end, answer, _ = orders
    seq, slot = me.next_seq, me.slot

    def on(**changes: Any) -> Subworker:
        order = next(order for order in (start, end, answer) if me.at in order)
        after = me._replace(**changes)
        if me.at != order[-1]:
            return after._replace(at=order[order.index(me.at) + 1])
        if order is start:
            alone = len(me.slots) == 1
            return after._replace(next_seq=seq + 1, at=end[0] if alone else "look", then="look")
        if order is end:
            return after._replace(at=me.then, slots=occupied(after, 0))
        return after._replace(at="wait", next_seq=after.taken + 1)

    def recalled(memory: Memory) -> Subworker:
        return me._replace(at=answer[0], number=memory[RECALL]) if memory[RECALL] else on()

    def take(memory: Memory) -> Subworker:
        taken = max(me.taken, memory[JOB_HEAD])
        free = me.slots.index(0) if 0 in me.slots else None
        return on(taken=taken, slot=free) if taken >= seq and free is not None else me._replace(at="idle")

    ends: list[Action] = []
    if me.at in ("look", "idle", "wait"):
        # The loop of many slots publishes what has ended before it does anything else.
        ends = [Load(lambda memory, k=k: me._replace(at=end[0], slot=k, then=me.at)) for k, job in enumerate(me.slots) if job]  # type: ignore[misc]
    match me.at:
        case "look" | "recall":
            return [Load(recalled), *ends]
        case "take":
            return [Load(take)]
        case "idle":
            ready = 0 in me.slots
            return [Load(lambda memory: me._replace(at="look") if memory[RECALL] or (ready and memory[JOB_HEAD] >= seq) else me), *ends]
        case "row":
            return [Store(ROW_SEQ[slot], seq, on())]
        case "marked":
            return [Store(MARKED_SEQ, seq, on())]
        case "state":
            return [Store(STATE[slot], MARKED, on())]
        case "fence":
            return [Fence(on())]
        case "begin":
            return [Store(STATE[slot], RUNNING, on(started=me.started | 1 << seq, slots=occupied(me, seq)))]
        case "publish":
            published = me.published | 1 << me.slots[slot]
            return [Store(RESULTS, published, on(published=published))]
        case "free":
            return [Store(STATE[slot], FREE, on())]
        case "withdraw":
            return [Store(STATE[slot], FREE, on())] if not me.slots[slot] else [Load(lambda memory: on())]
        case "empty":
            return [Load(lambda memory: on(taken=memory[JOB_HEAD]))]
        case "ack_seq":
            return [Store(ACK_SEQ, seq, on())]
        case "ack":
            return [Store(ACK, me.number, on())]
        case "wait":
            return [Load(lambda memory: me if memory[RECALL] == me.number else me._replace(at="look")), *ends]
    return []  # dead


def occupied(me: Subworker, seq: int) -> tuple[int, ...]:
    """Return its slots when the one at which it is holds that job."""
    return (*me.slots[: me.slot], seq, *me.slots[me.slot + 1 :])


def run_supervisor(order: Sequence[str], rule: str, bounds: Bounds, me: Supervisor) -> Sequence[Action]:
    """The program of Recall and of a supervisor that sends what it took back once more."""

    def on(**changes: Any) -> Supervisor:
        after = order[order.index(me.at) + 1] if me.at != order[-1] else "idle"
        return me._replace(at=after, **changes)

    def answered(memory: Memory) -> bool:
        return memory[ACK] != 0 if rule == "an old ack counts" else memory[ACK] == me.number

    match me.at:
        case "idle":
            begin = me._replace(at=order[0], number=me.number + 1)
            return [Load(lambda memory: begin)] if me.number < bounds.recalls_max else []
        case "store":
            return [Store(RECALL, me.number, on())]
        case "fence":
            return [Fence(on())]
        case "marked":
            return [Load(lambda memory: on(marked=memory[MARKED_SEQ], mine=me.mine | frames(memory[MARKED_SEQ] + 1, me.handed)))]
        case "answer":
            return [Load(partial(judge_marked, rule, me)), Load(lambda memory: on() if answered(memory) else me)]
        case "answered":
            return [Load(lambda memory: on(mine=me.mine | frames(memory[ACK_SEQ], me.handed)))]
        case "lift":
            return [Store(RECALL, 0, on())]
        case "send":
            handed = min(bounds.frames_max, me.handed + me.mine.bit_count())
            return [Store(JOB_HEAD, handed, on(handed=handed))]
    return []  # buried


def judge_marked(rule: str, me: Supervisor, memory: Memory) -> Supervisor:
    """Judge the marked frame by its row while there is no answer."""
    frame = 1 << me.marked if me.marked else 0
    state = next((memory[STATE[k]] for k in range(2) if memory[ROW_SEQ[k]] == me.marked), None)
    match rule, state:
        case _, 2:
            return me._replace(running=me.running | frame)
        case "the marked frame is taken without an answer", _:
            return me._replace(mine=me.mine | frame)
        case "a free row is taken for a job that was not started", 0:
            return me._replace(mine=me.mine | frame)
        case "a free row is taken for a job that was started", 0:
            return me._replace(running=me.running | frame)
    return me


def kill(world: World) -> Iterator[World]:
    """Kill the subworker, at any moment."""
    subworker, supervisor = world.locals
    if subworker.at != "dead":
        yield flushed(world, SUBWORKER)._replace(locals=(subworker._replace(at="dead"), supervisor))


def bury(rule: str, world: World) -> Iterator[World]:
    """Judge what a dead subworker held by its result ring and its slot."""
    subworker, supervisor = world.locals
    if subworker.at == "dead" and supervisor.at != "buried":
        published = 0 if rule == "buried without a look into the result ring" else world.memory[RESULTS]
        rows = [1 << world.memory[ROW_SEQ[k]] for k in range(2) if world.memory[STATE[k]] == RUNNING]
        crashed = 0 if rule == "buried without a look at the slot" else sum(rows) & ~published
        mine = supervisor.mine | frames(1, supervisor.handed) & ~published & ~crashed
        yield world._replace(locals=(subworker, supervisor._replace(at="buried", mine=mine, crashed=crashed)))


def complain(world: World, is_end: bool) -> str | None:
    """Say what is wrong with a world."""
    subworker, supervisor = world.locals
    results = flushed(world, SUBWORKER).memory[RESULTS]
    if supervisor.mine & subworker.started:
        return "started and taken back"
    if supervisor.running & supervisor.mine:
        return "declared started and taken back"
    if supervisor.crashed & results:
        return "two outcomes"
    settled = supervisor.mine | supervisor.crashed | results
    return "lost" if is_end and settled != frames(1, supervisor.handed) else None


def explored(mistake: str, bounds: Bounds) -> tuple[int, str | None]:
    """Explore the protocol, with one mistake planted or "" for none."""
    orders = OTHER_ORDERS.get(mistake, (START, END, ANSWER, TAKE_BACK))
    processes = (partial(run_subworker, orders), partial(run_supervisor, orders[3], mistake, bounds))
    memory = [0] * WORDS
    memory[JOB_HEAD] = bounds.frames_first
    subworker = Subworker("look", (0,) * bounds.slots)
    world = World(tuple(memory), ((), ()), (subworker, Supervisor("idle", handed=bounds.frames_first)))

    def step(world: World) -> Iterator[World]:
        yield from successors(world, processes)
        yield from bury(mistake, world)

    return explore(world, step, kill, complain)


@pytest.mark.parametrize("bounds", [ONE_SLOT, TWO_SLOTS])
def test_no_job_is_both_started_and_taken_back_and_none_is_lost(bounds: Bounds) -> None:
    worlds, complaint = explored("", bounds)
    assert complaint is None
    assert worlds > 10_000


@pytest.mark.parametrize("bounds", [ONE_SLOT, TWO_SLOTS])
@pytest.mark.parametrize("mistake", [*OTHER_ORDERS, *OTHER_RULES])
def test_each_planted_mistake_is_found(mistake: str, bounds: Bounds) -> None:
    assert explored(mistake, bounds)[1] is not None
