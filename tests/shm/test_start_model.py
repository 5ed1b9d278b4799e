"""Every interleaving of the stores of start and recall, with store buffers and a kill of the subworker at any moment.

In no world is a frame both the supervisor's again and started, and in no end is one lost. Every mistake that is planted is found,
so the order of stores in farm/shm/start.py is as it is for a reason each time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import pytest

from tests.shm.tso import Action, Fence, Load, Memory, Store, World, explore, flushed, successors

pytestmark = pytest.mark.model

RECALL, ACK, ACK_SEQ, MARKED_SEQ, ROW_SEQ, STATE, JOB_HEAD, RESULTS = range(8)
FREE, MARKED, RUNNING = range(3)
FRAMES_FIRST, FRAMES_MAX, RECALLS_MAX = 3, 7, 3
SUBWORKER, SUPERVISOR = 0, 1

START = ("look", "take", "row", "marked", "state", "fence", "recall", "begin", "publish", "free")
ANSWER = ("empty", "ack_seq", "ack", "withdraw")
TAKE_BACK = ("store", "fence", "marked", "answer", "answered", "lift", "send")

OTHER_ORDERS: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "no fence before the look at recall": (tuple(step for step in START if step != "fence"), ANSWER, TAKE_BACK),
    "recall not looked at": (tuple(step for step in START if step != "recall"), ANSWER, TAKE_BACK),
    "marked stored after the look": (("look", "take", "row", "state", "fence", "recall", "marked", *START[7:]), ANSWER, TAKE_BACK),
    "started before the look": (("look", "take", "row", "marked", "begin", "fence", "recall", "publish", "free"), ANSWER, TAKE_BACK),
    "slot freed before publishing": ((*START[:8], "free", "publish"), ANSWER, TAKE_BACK),
    "ack before ack_seq": (START, ("empty", "ack", "ack_seq", "withdraw"), TAKE_BACK),
    "ring emptied after the ack": (START, ("ack_seq", "ack", "empty", "withdraw"), TAKE_BACK),
    "no fence after the store of recall": (START, ANSWER, tuple(step for step in TAKE_BACK if step != "fence")),
    "marked looked at before the store of recall": (START, ANSWER, ("marked", "store", "fence", *TAKE_BACK[3:])),
    "recall lifted before the ack": (START, ANSWER, ("store", "fence", "marked", "lift", "send")),
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
    next_seq: int = 1
    """What it will start next."""
    taken: int = 0
    """The last frame that it has out of the ring."""
    number: int = 0
    started: int = 0
    """As a set of bits, kept by the model: frames whose job has begun."""


class Supervisor(NamedTuple):
    """Its registers; the last three are sets of bits."""

    at: str
    number: int = 0
    marked: int = 0
    handed: int = FRAMES_FIRST
    mine: int = 0
    running: int = 0
    """Frames that it has declared started, because it saw their row."""
    crashed: int = 0


def frames(first: int, last: int) -> int:
    """Return the set of the frames first to last."""
    return sum(1 << seq for seq in range(first, last + 1))


def run_subworker(start: Sequence[str], answer: Sequence[str], me: Subworker) -> Sequence[Action]:
    """The program of StartGate and of the loop around it: one action for each store and each look."""
    seq = me.next_seq

    def on(**changes: Any) -> Subworker:
        order = start if me.at in start else answer
        if me.at != order[-1]:
            return me._replace(at=order[order.index(me.at) + 1], **changes)
        me_after = me._replace(**changes)
        return (
            me_after._replace(at="look", next_seq=seq + 1) if order is start else me_after._replace(at="wait", next_seq=me_after.taken + 1)
        )

    def recalled(memory: Memory) -> Subworker:
        return me._replace(at=answer[0], number=memory[RECALL]) if memory[RECALL] else on()

    def take(memory: Memory) -> Subworker:
        taken = max(me.taken, memory[JOB_HEAD])
        return on(taken=taken) if taken >= seq else me._replace(at="idle")

    match me.at:
        case "look" | "recall":
            return [Load(recalled)]
        case "take":
            return [Load(take)]
        case "idle":
            return [Load(lambda memory: me._replace(at="look") if memory[RECALL] or memory[JOB_HEAD] >= seq else me)]
        case "row":
            return [Store(ROW_SEQ, seq, on())]
        case "marked":
            return [Store(MARKED_SEQ, seq, on())]
        case "state":
            return [Store(STATE, MARKED, on())]
        case "fence":
            return [Fence(on())]
        case "begin":
            return [Store(STATE, RUNNING, on(started=me.started | 1 << seq))]
        case "publish":
            return [Store(RESULTS, me.started, on())]
        case "free" | "withdraw":
            return [Store(STATE, FREE, on())]
        case "empty":
            return [Load(lambda memory: on(taken=memory[JOB_HEAD]))]
        case "ack_seq":
            return [Store(ACK_SEQ, seq, on())]
        case "ack":
            return [Store(ACK, me.number, on())]
        case "wait":
            return [Load(lambda memory: me if memory[RECALL] == me.number else me._replace(at="look"))]
    return []  # dead


def run_supervisor(order: Sequence[str], rule: str, me: Supervisor) -> Sequence[Action]:
    """The program of Recall and of a supervisor that sends what it took back once more."""

    def on(**changes: Any) -> Supervisor:
        after = order[order.index(me.at) + 1] if me.at != order[-1] else "idle"
        return me._replace(at=after, **changes)

    def answered(memory: Memory) -> bool:
        return memory[ACK] != 0 if rule == "an old ack counts" else memory[ACK] == me.number

    match me.at:
        case "idle":
            begin = me._replace(at=order[0], number=me.number + 1)
            return [Load(lambda memory: begin)] if me.number < RECALLS_MAX else []
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
            handed = min(FRAMES_MAX, me.handed + me.mine.bit_count())
            return [Store(JOB_HEAD, handed, on(handed=handed))]
    return []  # buried


def judge_marked(rule: str, me: Supervisor, memory: Memory) -> Supervisor:
    """Judge the marked frame by its row while there is no answer."""
    frame = 1 << me.marked if me.marked else 0
    state = memory[STATE] if memory[ROW_SEQ] == me.marked else None
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
        running = world.memory[STATE] == RUNNING and rule != "buried without a look at the slot"
        crashed = (1 << world.memory[ROW_SEQ] if running else 0) & ~published
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


def explored(mistake: str) -> tuple[int, str | None]:
    """Explore the protocol, with one mistake planted or "" for none."""
    start, answer, take_back = OTHER_ORDERS.get(mistake, (START, ANSWER, TAKE_BACK))
    processes = (partial(run_subworker, start, answer), partial(run_supervisor, take_back, mistake))
    memory = [0] * 8
    memory[JOB_HEAD] = FRAMES_FIRST
    world = World(tuple(memory), ((), ()), (Subworker("look"), Supervisor("idle")))

    def step(world: World) -> Iterator[World]:
        yield from successors(world, processes)
        yield from bury(mistake, world)

    return explore(world, step, kill, complain)


def test_no_job_is_both_started_and_taken_back_and_none_is_lost() -> None:
    worlds, complaint = explored("")
    assert complaint is None
    assert worlds > 10_000


@pytest.mark.parametrize("mistake", [*OTHER_ORDERS, *OTHER_RULES])
def test_each_planted_mistake_is_found(mistake: str) -> None:
    assert explored(mistake)[1] is not None
