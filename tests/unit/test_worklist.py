"""What the claimer takes next, and from where on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.config.model import Lane as LaneConfig
from farm.model import Share
from farm.supervisor.claims.worklist import ENDLESS, PAIRS_MAX, Pair, Reach, Worklist
from farm.supervisor.lanes.lane import Lane
from farm.supervisor.lanes.witness import Witness

CLASSES = {1: ("mail", "python", 0), 2: ("reports", "python", 0), 3: ("mail", "cobol", 0), 4: ("rest", "python", 0)}


def worklist() -> Worklist:
    made = Worklist(runner_names=["python"])
    made.learn(CLASSES)
    return made


def lane(*queues: str, memory_bytes: int = 0, name: str = "lane") -> Lane:
    config = LaneConfig(name=name, queues=queues, subworkers=1, concurrency=1, memory_bytes=memory_bytes)
    return Lane(config, claim_max=100, witness=Witness(hurry=lambda: None, wake=lambda: None))


def taken(made: Worklist, queues: tuple[str, ...], memory_mb: int = 0) -> tuple[int, int] | None:
    pairs = made.next_pairs(queues, memory_mb)
    return (pairs[0].class_id, pairs[0].priority) if pairs else None


def claim(made: Worklist, pair: Pair, *, ready: int = 0, asked: int = 10, returned: int = 0, last_id: int = 0, last_seq: int = 0) -> None:
    share = Share(pair.class_id, ready, last_id, returned, last_seq)
    made.note_claimed([pair], [share], each_max=asked, jobs_max=2 * asked, returned_max=asked)


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
    made.note_found([(4, 0, False, 1), (2, 7, False, 1), (1, 9, False, 1), (1, 5, False, 1)])
    assert taken(made, ("mail", "reports")) == (1, 5)
    assert taken(made, ("reports", "mail")) == (2, 7)
    assert taken(made, ("reports", "*")) == (2, 7)
    assert taken(made, ("*",)) == (4, 0)
    assert taken(made, ("nowhere",)) is None
    made.note_found([(1, 5, False, 1), (4, 5, True, 1)])
    assert taken(made, ("*",)) == (1, 5)


def test_unknown_classes_wait() -> None:
    """Work of a class that is not known is left alone until the class table has been read."""
    made = worklist()
    made.note_found([(9, 0, False, 1)])
    assert taken(made, ("*",)) is None
    assert not made.note_rumour(9, 0)
    made.learn({**CLASSES, 9: ("new", "python", 0)})
    assert made.note_rumour(9, 0)
    assert taken(made, ("*",)) == (9, 0)


def test_claims_begin_above_what_was_claimed() -> None:
    """The bound follows the last id and never goes back."""
    made = worklist()
    made.note_found([(1, 4, False, 1)])
    (pair,) = made.next_pairs(["*"])
    assert made.ready.span((1, 4)) == (0, ENDLESS)
    claim(made, pair, ready=10, last_id=500)
    assert made.ready.span((1, 4)) == (500, ENDLESS)
    claim(made, pair, ready=10, last_id=400)
    assert made.ready.span((1, 4)) == (500, ENDLESS)
    assert made.ready.bounds == {(1, 4): 500}


def test_a_pair_that_is_drained_is_forgotten() -> None:
    """A claim that brings less than was asked for ends a pair until a look, or a rumour, finds it again."""
    made = worklist()
    made.note_found([(1, 4, False, 1)])
    (pair,) = made.next_pairs(["*"])
    claim(made, pair, ready=3, last_id=3)
    assert taken(made, ("*",)) is None
    assert not made.has_pairs
    made.note_rumour(1, 4)
    assert taken(made, ("*",)) == (1, 4)


def test_returned_and_ready_are_drained_apart() -> None:
    """What came back and what is fresh of a pair are emptied one by one."""
    made = worklist()
    made.note_found([(1, 4, False, 1), (1, 4, True, 1)])
    (pair,) = made.next_pairs(["*"])
    claim(made, pair, ready=10, returned=2, last_id=10)
    assert (pair.ready, pair.returned) == (True, False)
    claim(made, pair, ready=0, returned=0, last_id=0)
    assert taken(made, ("*",)) is None


def test_late_commits_below_the_bound_are_gone_back_for() -> None:
    """Claims begin before what a sweep found and end where it ended, until that is drained; then they go on above the bound."""
    made = worklist()
    made.note_found([(1, 4, False, 1)])
    (pair,) = made.next_pairs(["mail"])
    claim(made, pair, ready=3, last_id=100)
    made.note_late([(1, 4, False, 40, 60), (1, 4, False, 80, 100)])
    assert made.ready.span((1, 4)) == (39, 60), "the lower stretch first"
    made.note_found([])
    (pair,) = made.next_pairs(["mail"])
    claim(made, pair, ready=10, last_id=45)
    assert made.ready.span((1, 4)) == (45, 60)
    claim(made, pair, ready=3, last_id=50)
    assert made.ready.span((1, 4)) == (100, ENDLESS)
    assert made.next_pairs(["mail"]) == [pair], "what is above the bound was not asked for"
    claim(made, pair)
    assert not made.has_pairs


def test_classes_of_one_need_and_priority_are_claimed_together_and_take_turns() -> None:
    made = worklist()
    made.learn({1: ("a", "python", 0), 2: ("b", "python", 0), 3: ("c", "python", 256), 4: ("d", "python", 0)})
    made.note_found([(1, 4, False, 1), (2, 4, False, 1), (3, 4, False, 1), (4, 5, False, 1)])
    first = made.next_pairs(["*"], 256)
    assert [pair.class_id for pair in first] == [1, 2], "neither another memory class nor another priority"
    made.note_claimed(first, [Share(1, 5, 5, 0, 0), Share(2, 5, 5, 0, 0)], each_max=5, jobs_max=10, returned_max=0)
    assert [pair.class_id for pair in made.next_pairs(["*"], 256)] == [3], "who waited longest is next"
    assert [pair.class_id for pair in made.next_pairs(["b", "*"], 256)] == [2], "the chain comes before turns"


def test_what_other_lanes_are_kept_for_is_claimed_apart() -> None:
    """A job of `fast` that the lane for anything has claimed can be given to `fast`: its lease holds nothing that is not for that lane."""
    made = worklist()
    made.know([lane("mail", name="fast"), lane("*")])
    made.note_found([(1, 4, False, 1), (2, 4, False, 1), (4, 4, False, 1)])
    first = made.next_pairs(["*"])
    assert [pair.class_id for pair in first] == [1]
    made.note_claimed(first, [Share(1, 5, 5, 0, 0)], each_max=5, jobs_max=5, returned_max=0)
    assert [pair.class_id for pair in made.next_pairs(["*"])] == [2, 4], "what nobody else names comes together"
    made.know([lane("*")])
    assert [pair.class_id for pair in made.next_pairs(["*"])] == [2, 4, 1]


def test_no_class_waits_for_ever_behind_others() -> None:
    made = worklist()
    made.learn({number: (f"q{number}", "python", 0) for number in range(1, 201)})
    made.note_found([(number, 4, False, 1) for number in range(1, 201)])
    served = set()
    for _ in range(-(-200 // PAIRS_MAX)):
        pairs = made.next_pairs(["*"])
        served |= {pair.class_id for pair in pairs}
        shares = [Share(pair.class_id, 10, 10, 0, 0) for pair in pairs]
        made.note_claimed(pairs, shares, each_max=10, jobs_max=10 * len(pairs), returned_max=0)
    assert served == set(range(1, 201))


@pytest.mark.parametrize(("classes", "jobs_max"), [(2, 3), (3, 4), (4, 5), (16, 17), (16, 100)])
def test_what_does_not_divide_evenly_is_shared_out_over_time(classes: int, jobs_max: int) -> None:
    """A claim cuts off the last of its pairs: they come first in the next one."""
    made = worklist()
    made.learn({number: (f"q{number}", "python", 0) for number in range(1, classes + 1)})
    made.note_found([(number, 4, False, 1) for number in range(1, classes + 1)])
    got = dict.fromkeys(range(1, classes + 1), 0)
    for _ in range(200):
        pairs, left, shares = made.next_pairs(["*"])[:jobs_max], jobs_max, []
        each_max = -(-jobs_max // len(pairs))
        for pair in pairs:
            taken = min(left, each_max)
            left -= taken
            if taken:
                got[pair.class_id] += taken
                shares.append(Share(pair.class_id, taken, got[pair.class_id], 0, 0))
        made.note_claimed(pairs, shares, each_max=each_max, jobs_max=jobs_max, returned_max=0)
    assert max(got.values()) - min(got.values()) <= 4 * each_max, got


def test_a_class_whose_returned_jobs_fill_the_claim_gives_way() -> None:
    made = worklist()
    made.learn({1: ("a", "python", 0), 2: ("b", "python", 0)})
    made.note_found([(1, 4, False, 1), (1, 4, True, 1), (2, 4, False, 1)])
    made.note_claimed(made.next_pairs(["*"]), [Share(1, 5, 5, 5, 5)], each_max=5, jobs_max=10, returned_max=5)
    assert [pair.class_id for pair in made.next_pairs(["*"])] == [2, 1]


@given(st.data())
def test_claims_reach_every_entry_whatever_is_late(data: st.DataObject) -> None:
    """Entries appear in any order of their numbers; looks, sweeps and claims bring each once."""
    key, reach = (1, 4), Reach()
    waiting = data.draw(st.permutations(range(1, 31)))
    there: set[int] = set()
    claimed: list[int] = []
    while waiting or there:
        arriving, waiting = waiting[:3], waiting[3:]
        there |= set(arriving)
        if data.draw(st.booleans()) or not waiting:
            late = sorted(number for number in there if number <= reach.bounds.get(key, 0))
            if late:
                reach.note_late(key, late[0], data.draw(st.integers(late[0], reach.bounds[key])))
        above, upto = reach.span(key)
        taken_now = sorted(number for number in there if above < number <= upto)[: data.draw(st.integers(1, 4))]
        left = [number for number in there if above < number <= upto and number not in taken_now]
        there -= set(taken_now)
        claimed += taken_now
        reach.note_claimed(key, max(taken_now, default=0), drained=not left)
    assert sorted(claimed) == list(range(1, 31))


def test_memory_that_a_lane_does_not_allow() -> None:
    """Jobs that declared more memory than the lane allows a job are left to others, and do not wake it."""
    made = worklist()
    made.learn({1: ("mail", "python", 512), 2: ("mail", "python", 1000), 3: ("mail", "python", 0)})
    small, large = lane("mail"), lane("mail", memory_bytes=1_000_000_000)
    assert made.class_ids([small]) == [3]
    assert made.class_ids([large]) == [1, 2, 3]
    made.note_found([(1, 1, False, 1), (2, 0, False, 1), (3, 2, False, 1)])
    assert taken(made, ("mail",)) == (3, 2)
    assert taken(made, ("mail",), 999) == (1, 1)
    assert taken(made, ("*",), 1000) == (2, 0)
    assert made.classes_wanted(["mail"], 512) == [1, 3]
