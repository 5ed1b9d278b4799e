"""What the claimer takes next, and from where on."""

from __future__ import annotations

from farm.config.model import Lane as LaneConfig
from farm.supervisor.lane import Lane
from farm.supervisor.worklist import Pair, Worklist

CLASSES = {1: ("mail", "python", 0), 2: ("reports", "python", 0), 3: ("mail", "cobol", 0), 4: ("rest", "python", 0)}


def worklist() -> Worklist:
    made = Worklist(runner_names=["python"])
    made.learn(CLASSES)
    return made


def lane(*queues: str, memory_bytes: int = 0) -> Lane:
    return Lane(LaneConfig(name="lane", queues=queues, subworkers=1, concurrency=1, memory_bytes=memory_bytes), claim_max=100)


def taken(made: Worklist, queues: tuple[str, ...], memory_mb: int = 0) -> tuple[int, int] | None:
    pair = made.best(queues, memory_mb)
    return None if pair is None else (pair.class_id, pair.priority)


def claim(made: Worklist, pair: Pair, *, ready: int = 0, asked: int = 10, returned: int = 0, last_id: int = 0) -> None:
    made.note_claimed(pair, ready=ready, ready_asked=asked, returned=returned, returned_asked=asked, last_id=last_id)


def test_only_what_can_run_here() -> None:
    """Classes of a runner that is not configured are not asked for, nor those of queues that no lane serves."""
    made = worklist()
    assert made.class_ids([lane("*")]) == [1, 2, 4]
    assert made.class_ids([lane("mail"), lane("rest")]) == [1, 4]
    assert made.classes_wanted(["mail", "rest"]) == [1, 4]
    assert made.classes_wanted(["mail", "*"]) is None


def test_order_of_the_chain() -> None:
    """The first queue with work comes first, then the most urgent priority, then the class that is older; `*` takes the rest."""
    made = worklist()
    made.note_found([(4, 0, False), (2, 7, False), (1, 9, False), (1, 5, False)], everywhere=False)
    assert taken(made, ("mail", "reports")) == (1, 5)
    assert taken(made, ("reports", "mail")) == (2, 7)
    assert taken(made, ("reports", "*")) == (2, 7)
    assert taken(made, ("*",)) == (4, 0)
    assert taken(made, ("nowhere",)) is None
    made.note_found([(1, 5, False), (4, 5, True)], everywhere=False)
    assert taken(made, ("*",)) == (1, 5)


def test_unknown_classes_wait() -> None:
    """Work of a class that is not known is left alone until the class table has been read."""
    made = worklist()
    made.note_found([(9, 0, False)], everywhere=False)
    assert made.best(["*"]) is None
    assert not made.note_rumour(9, 0)
    made.learn({**CLASSES, 9: ("new", "python", 0)})
    assert made.note_rumour(9, 0)
    assert taken(made, ("*",)) == (9, 0)


def test_claims_begin_above_what_was_claimed() -> None:
    """The bound follows the last id and never goes back."""
    made = worklist()
    made.note_found([(1, 4, False)], everywhere=False)
    pair = made.best(["*"])
    assert pair is not None
    assert made.above(pair) == 0
    claim(made, pair, ready=10, last_id=500)
    assert made.above(pair) == 500
    claim(made, pair, ready=10, last_id=400)
    assert made.above(pair) == 500
    assert made.bounds == {(1, 4): 500}


def test_a_pair_that_is_drained_is_forgotten() -> None:
    """A claim that brings less than was asked for ends a pair until a look, or a rumour, finds it again."""
    made = worklist()
    made.note_found([(1, 4, False)], everywhere=False)
    pair = made.best(["*"])
    assert pair is not None
    claim(made, pair, ready=3, last_id=3)
    assert made.best(["*"]) is None
    assert not made.has_pairs
    made.note_rumour(1, 4)
    assert taken(made, ("*",)) == (1, 4)


def test_returned_and_ready_are_drained_apart() -> None:
    """What came back and what is fresh of a pair are emptied one by one."""
    made = worklist()
    made.note_found([(1, 4, False), (1, 4, True)], everywhere=False)
    pair = made.best(["*"])
    assert pair is not None
    claim(made, pair, ready=10, returned=2, last_id=10)
    assert (pair.ready, pair.returned) == (True, False)
    claim(made, pair, ready=0, returned=0, last_id=0)
    assert made.best(["*"]) is None


def test_late_commits_below_the_bound_are_swept() -> None:
    """After a look everywhere the next claim of each pair has no bound, and only that one."""
    made = worklist()
    made.note_found([(1, 4, False), (2, 4, False)], everywhere=True)
    pair = made.best(["mail"])
    assert pair is not None
    claim(made, pair, ready=10, last_id=100)
    made.note_found([(1, 4, False)], everywhere=False)
    assert made.above(pair) == 100, "a look above the bounds calls for no sweep"
    made.note_found([(1, 4, False)], everywhere=True)
    pair = made.best(["mail"])
    assert pair is not None
    assert made.above(pair) == 0
    claim(made, pair, ready=10, last_id=40)
    assert made.above(pair) == 100


def test_memory_that_a_lane_does_not_allow() -> None:
    """Jobs that declared more memory than the lane allows a job are left to others, and do not wake it."""
    made = worklist()
    made.learn({1: ("mail", "python", 512), 2: ("mail", "python", 1000), 3: ("mail", "python", 0)})
    small, large = lane("mail"), lane("mail", memory_bytes=1_000_000_000)
    assert made.class_ids([small]) == [3]
    assert made.class_ids([large]) == [1, 2, 3]
    made.note_found([(1, 1, False), (2, 0, False), (3, 2, False)], everywhere=False)
    assert taken(made, ("mail",)) == (3, 2)
    assert taken(made, ("mail",), 999) == (1, 1)
    assert taken(made, ("*",), 1000) == (2, 0)
    assert made.classes_wanted(["mail"], 512) == [1, 3]
