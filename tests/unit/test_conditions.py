"""`farm status --fail-if`: what conditions mean, and how a wrong one is told."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farm.answers.conditions import OPERATORS, SUBJECTS, Condition, Kind, figure_of, figures, parse
from farm.errors import FarmError
from tests.unit.test_why import host, lane


def status(*hosts: dict[str, Any], **queues: tuple[int, float]) -> dict[str, Any]:
    found = [{"queue": name, "ready": ready, "oldest_age_s": oldest_s} for name, (ready, oldest_s) in queues.items()]
    return {"hosts": list(hosts), "queues": found, "scheduled": 7, "claimed": 5, "running": 4}


FARM = status(
    host(1, a=lane("mail", held_by=["paused"]), b=lane("*", serving=1, of=3), paused=("later",)),
    host(2, beat_age_s=8.0, a=lane("mail")),
    host(3, state="retired", beat_age_s=900.0),
    mail=(12, 61.5),
    bills=(10_001, 2.0),
)


@pytest.mark.parametrize(
    ("text", "figure", "holds"),
    [
        ("oldest>60s", 61.5, True),
        ("oldest > 1m", 61.5, True),
        ("oldest>=61500ms", 61.5, True),
        ("oldest[mail]>2m", 61.5, False),
        ("oldest[ bills ]>1", 2.0, True),
        ("oldest[nothing]>0s", 0.0, False),
        ("ready>10000", 10_001, True),
        ("ready[mail]<=12", 12, True),
        ("ready[mail]=12", 12, True),
        ("ready[mail]==13", 12, False),
        ("scheduled!=7", 7, False),
        ("claimed<5", 5, False),
        ("running>3", 4, True),
        ("hosts<3", 2, True),
        ("beat>5s", 8.0, True),
        ("paused>0", 2, True),
        ("missing>=2", 2, True),
        ("failed>5%", 0.06, True),
        ("failed > 6.5 %", 0.06, False),
        ("horizon>1h", 4000.0, True),
    ],
)
def test_conditions_compare_the_figure_of_the_farm(text: str, figure: float, holds: bool) -> None:
    (condition,) = parse(text)
    known = figures(FARM, failed=0.06, horizon_s=4000.0)
    assert (figure_of(condition, known), condition.holds(figure_of(condition, known))) == (figure, holds)


def test_a_farm_without_hosts_has_an_endless_beat_and_nothing_else() -> None:
    known = figures(status())
    assert known.pop("beat") == float("inf")
    assert {name: known[name] for name in known if name not in ("scheduled", "claimed", "running")} == dict.fromkeys(
        ("oldest", "ready", "hosts", "paused", "missing", "failed", "horizon"), 0.0
    )
    (condition,) = parse("beat>10s")
    assert condition.shown(float("inf")) == "endless"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("oldst>60s", "nothing called 'oldst' can be asked about; did you mean 'oldest'?"),
        ("hosts[mail]>3", "hosts cannot be asked of one queue, only oldest and ready can: got 'hosts[mail]>3'"),
        ("oldest[MAIL]>3s", "expected the name of a queue between [ and ], got 'MAIL'"),
        ("oldest 60s", "expected a condition such as oldest>60s, got 'oldest 60s'"),
        ("oldest>60s,", "expected a condition such as oldest>60s, got ''"),
        ("oldest>>60s", "expected a condition such as oldest>60s, got 'oldest>>60s'"),
        ("oldest>60x",
         "oldest: expected a duration such as 250ms, 10s, 5m, 1h or a number of seconds, got '60x' (units are us, ms, s, m, h, d)"),
        ("hosts<1.5", "hosts: expected a number such as 1000, got '1.5'"),
        ("failed>5", "failed: expected a share such as 5%, got '5'"),
        ("failed>101%", "failed: expected a share such as 5%, got '101%'"),
        ("ready>20_000", "ready is counted to 10,001 only, so it cannot be compared with 20_000"),
        ("x" * 1001, "expected conditions of at most 1000 characters, got 1001"),
    ],
)  # fmt: skip
def test_a_wrong_condition_is_one_line(text: str, said: str) -> None:
    with pytest.raises(FarmError) as caught:
        parse(text)
    assert str(caught.value) == said


VALUES = {
    Kind.DURATION: st.integers(0, 10**12).map(lambda ms: ms / 1000),
    Kind.NUMBER: st.integers(0, 10_000).map(float),
    Kind.SHARE: st.integers(0, 100_000).map(lambda thousandth: thousandth / 100_000),
}
conditions = st.sampled_from(sorted(SUBJECTS)).flatmap(
    lambda name: st.builds(
        Condition,
        subject=st.just(name),
        queue=st.none() | st.from_regex(r"[a-z0-9][a-z0-9_.:-]{0,20}", fullmatch=True) if SUBJECTS[name].of_queue else st.none(),
        operator=st.sampled_from([sign for sign in OPERATORS if sign != "=="]),
        value=VALUES[SUBJECTS[name].kind],
    )
)


@settings(max_examples=80, deadline=None)
@given(st.lists(conditions, min_size=1, max_size=6), st.sampled_from([",", " , ", ",\n"]))
def test_conditions_read_as_they_are_shown(wanted: list[Condition], comma: str) -> None:
    found = parse(comma.join(map(str, wanted)))
    assert [(one.subject, one.queue, one.operator) for one in found] == [(one.subject, one.queue, one.operator) for one in wanted]
    assert [one.value for one in found] == [pytest.approx(one.value) for one in wanted]


@settings(max_examples=80, deadline=None)
@given(st.text(alphabet="oldesreay[]<>=!,%0123456789smh. \n\x1b_", max_size=40) | st.text(max_size=40))
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    refused = ""
    try:
        parse(text)
    except FarmError as error:
        refused = str(error)
    assert refused.isprintable()


@settings(max_examples=80, deadline=None)
@given(conditions, st.floats(0, 1e9))
def test_exactly_one_of_a_condition_and_its_opposite_holds(condition: Condition, figure: float) -> None:
    opposites = {">": "<=", ">=": "<", "<": ">=", "<=": ">", "=": "!=", "!=": "="}
    opposite = Condition(subject=condition.subject, queue=condition.queue, operator=opposites[condition.operator], value=condition.value)
    assert condition.holds(figure) is not opposite.holds(figure)
