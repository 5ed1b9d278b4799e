"""What becomes of a job whose attempt failed, as pure decisions: every kind of outcome, every limit, every policy."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.model import Outcome, OutcomeKind
from farm.retry import AT_ONCE, BACKOFF_DEFAULT, DELAY_S_MAX, DOUBLINGS_MAX, FINAL_ERRORS, NO_POLICY, Backoff, Policies, Policy, delay_s
from farm.store.outcomes import LIMITED_KINDS, NOTHING_ASKED, Asked, Verdict, judge
from farm.units import parse_retry
from farm.wishes import Cancel, Retry, Snooze

KINDS = sorted(set(OutcomeKind) - {OutcomeKind.SUCCEEDED})
HALF = 0.5


def outcome(kind: OutcomeKind, error: dict[str, Any] | None = None, *, started: bool = True) -> Outcome:
    payload = b"" if error is None else json.dumps(error).encode()
    return Outcome(1 << 32, 0, 1, 0, kind, 5 if started else 0, 9, payload)


def judged(
    kind: OutcomeKind,
    error: dict[str, Any] | None = None,
    *,
    before: int = 0,
    asked: Asked = NOTHING_ASKED,
    policy: Policy = NO_POLICY,
    crashes: int = 0,
    started: bool = True,
) -> Verdict:
    return judge(outcome(kind, error, started=started), before, asked, policy, crashes, lambda: HALF)


pauses = st.floats(0, 20 * 86400)
backoffs = st.one_of(st.builds(Backoff, pauses, st.none()), st.tuples(pauses, pauses).map(lambda pair: Backoff(min(pair), max(pair))))


@given(backoffs, st.integers(1, 30_000), st.floats(0, 1, exclude_max=True))
def test_a_pause_is_within_its_bounds(backoff: Backoff, attempts: int, draw: float) -> None:
    pause = delay_s(backoff, attempts, draw)
    bound = backoff.base_s if backoff.cap_s is None else min(backoff.cap_s, backoff.base_s * 2.0 ** min(attempts - 1, DOUBLINGS_MAX))
    assert 0 <= pause <= bound * 1.000001
    assert backoff.cap_s is not None or pause == backoff.base_s
    # The whole span is drawn from, and evenly.
    assert backoff.cap_s is None or pause == pytest.approx(draw * bound, abs=1e-9)


@given(st.floats(allow_nan=True, allow_infinity=True), st.integers(-5, 10**9))
def test_whatever_is_asked_for_is_a_pause_that_a_database_can_add(base_s: float, attempts: int) -> None:
    for cap_s in (None, base_s, float("inf")):
        assert 0 <= delay_s(Backoff(base_s, cap_s), attempts, 0.999) <= DELAY_S_MAX


def test_the_default_is_what_is_written_everywhere() -> None:
    assert Backoff(*parse_retry("1s to 10m")) == BACKOFF_DEFAULT
    assert [delay_s(BACKOFF_DEFAULT, attempts, HALF) for attempts in (1, 2, 3, 10, 11, 1000)] == [0.5, 1, 2, 256, 300, 300]
    assert Backoff(*parse_retry("0s")) == AT_ONCE


@given(
    kind=st.sampled_from(KINDS),
    before=st.integers(0, 12),
    crashes=st.integers(0, 5),
    own=st.none() | st.integers(1, 10),
    of_task=st.none() | st.integers(1, 10),
    name=st.sampled_from(["ValueError", "SyntaxError", "runners.python.TaskNotFound", "ResultError", "a.b.C"]),
    final=st.none() | st.just(()) | st.just(("ValueError", "a.b.C")),
    started=st.booleans(),
)
def test_the_table(
    kind: OutcomeKind,
    before: int,
    crashes: int,
    own: int | None,
    of_task: int | None,
    name: str,
    final: tuple[str, ...] | None,
    started: bool,
) -> None:
    """The table of docs/job-states.md, said again in other words."""
    error = {"type": name, "message": "m", "traceback": "", **({"after_s": 7} if kind is OutcomeKind.SNOOZED else {})}
    asked, policy = Asked("t:f", own, None, None), Policy(max_attempts=of_task, final_errors=final)
    verdict = judged(kind, error, before=before, asked=asked, policy=policy, crashes=crashes, started=started)
    used = kind in LIMITED_KINDS or (kind is OutcomeKind.CANCELLED and started)
    assert verdict.used == used
    limit = own if own is not None else of_task
    if kind in (OutcomeKind.RELEASED, OutcomeKind.SNOOZED):
        ends = False
    elif kind in (OutcomeKind.REJECTED, OutcomeKind.CANCELLED):
        ends = True
    elif kind in (OutcomeKind.CRASHED, OutcomeKind.MEMORY):
        ends = before + 1 >= limit if limit is not None else crashes >= 2
    else:
        ends = before + 1 >= (limit or 3)
    short = name.rpartition(".")[2]
    hopeless = kind is OutcomeKind.FAILED and (short in FINAL_ERRORS if final is None else name in final or short in final)
    assert (verdict.ended_by is not None) == (ends or hopeless)
    assert verdict.ended_by is None or verdict.delay_s == 0
    if hopeless and not ends:
        assert json.loads(verdict.ended_by or b"")["not_retried"] == f"another attempt would not mend a {short}"


@pytest.mark.parametrize(
    ("kind", "before", "crashes", "expected_s"),
    [
        (OutcomeKind.FAILED, 0, 0, 0.5),
        (OutcomeKind.FAILED, 1, 0, 1.0),
        (OutcomeKind.TIMED_OUT, 1, 0, 1.0),
        (OutcomeKind.CRASHED, 0, 0, 0.0),
        (OutcomeKind.CRASHED, 1, 0, 0.0),
        (OutcomeKind.CRASHED, 1, 1, 1.0),
        (OutcomeKind.MEMORY, 0, 0, 0.5),
        (OutcomeKind.STOPPED, 1, 0, 0.0),
        (OutcomeKind.RELEASED, 1, 0, 0.0),
    ],
)
def test_the_pause_after_each_kind(kind: OutcomeKind, before: int, crashes: int, expected_s: float) -> None:
    assert judged(kind, before=before, crashes=crashes) == Verdict(kind is not OutcomeKind.RELEASED, None, expected_s)


def test_the_job_wins_over_its_task_and_both_over_the_default() -> None:
    of_task = Policy(retry=Backoff(4, None), max_attempts=2)
    assert judged(OutcomeKind.FAILED, policy=of_task).delay_s == 4
    assert judged(OutcomeKind.FAILED, policy=of_task, before=1).ended_by == b""
    asked = Asked("t:f", 5, 2000, 60_000)
    assert judged(OutcomeKind.FAILED, policy=of_task, asked=asked, before=2).delay_s == 4.0
    assert judged(OutcomeKind.FAILED, policy=of_task, asked=asked._replace(retry_cap_ms=None), before=3).delay_s == 2.0
    assert judged(OutcomeKind.FAILED, policy=of_task, asked=asked, before=4).ended_by == b""


def test_a_pause_that_the_job_names_wins_but_for_the_last_attempt() -> None:
    asked_for = {"type": "Retry", "message": "m", "traceback": "", "after_s": 90}
    assert judged(OutcomeKind.FAILED, asked_for, policy=Policy(retry=AT_ONCE)).delay_s == 90
    assert judged(OutcomeKind.FAILED, asked_for | {"after_s": 0}).delay_s == 0
    assert judged(OutcomeKind.FAILED, asked_for | {"after_s": 1e300}).delay_s == DELAY_S_MAX
    assert judged(OutcomeKind.FAILED, asked_for, before=2).ended_by == b""
    # Only who failed can have named one.
    assert judged(OutcomeKind.TIMED_OUT, asked_for).delay_s == 0.5


def test_a_snooze_uses_nothing_however_often() -> None:
    assert judged(OutcomeKind.SNOOZED, {"after_s": 3.5}, before=9, asked=Asked("t:f", 1, None, None)) == Verdict(False, None, 3.5)


@pytest.mark.parametrize("after_s", [None, "1", True, [], {}])
def test_a_pause_that_is_none_is_refused(after_s: object) -> None:
    """It comes from a process that runs foreign code: the commit takes this for an outcome that cannot be stored."""
    for kind in (OutcomeKind.SNOOZED, OutcomeKind.FAILED):
        with pytest.raises(ValueError, match="after_s is"):
            judged(kind, {"after_s": after_s})
    with pytest.raises(ValueError):
        judge(outcome(OutcomeKind.FAILED)._replace(payload=b"{"), 0, NOTHING_ASKED, NO_POLICY, 0, lambda: HALF)


def test_an_error_of_any_depth_is_no_harm() -> None:
    deep = b"[" * 900 + b"]" * 900
    for kind, crashes, name, expected in (
        (OutcomeKind.FAILED, 0, b"SyntaxError", {"type": "SyntaxError", "message": "", "traceback": ""}),
        (OutcomeKind.CRASHED, 2, b"x", {"type": "CrashedTooOften", "message": "crashed 3 times; the last time: ", "traceback": ""}),
    ):
        payload = b'{"type": "%s", "message": %s, "more": %s}' % (name, deep, deep)
        verdict = judge(outcome(kind)._replace(payload=payload), 0, NOTHING_ASKED, NO_POLICY, crashes, lambda: HALF)
        assert json.loads(verdict.ended_by or b"").items() >= expected.items()
    with pytest.raises(ValueError, match="after_s is no number but list"):
        judge(outcome(OutcomeKind.SNOOZED)._replace(payload=b'{"after_s": %s}' % deep), 0, NOTHING_ASKED, NO_POLICY, 0, lambda: HALF)


def test_the_first_pattern_that_matches_counts_and_only_that_one() -> None:
    policies = Policies([Policy(pattern="mail:*", max_attempts=9), Policy(pattern="*", retry=AT_ONCE)])
    assert (policies.of("mail:send").max_attempts, policies.of("mail:send").retry) == (9, None)
    assert (policies.of("Mail:send").max_attempts, policies.of("Mail:send").retry) == (None, AT_ONCE)
    assert Policies([]).of("mail:send") is NO_POLICY
    assert policies.limits_attempts
    assert not Policies([Policy(retry=AT_ONCE)]).limits_attempts


@given(
    st.builds(
        Policy,
        pattern=st.text(),
        retry=st.none() | backoffs,
        max_attempts=st.none() | st.integers(1, 10_000),
        timeout_s=st.none() | pauses,
        final_errors=st.none() | st.lists(st.text()).map(tuple),
    )
)
def test_a_policy_comes_to_the_writer_as_it_was(policy: Policy) -> None:
    assert Policy.of_data(json.loads(json.dumps(policy.as_data()))) == policy


@pytest.mark.parametrize("after_s", [-1, "5", None, float("nan"), float("inf"), 4e8, True])
def test_what_a_job_cannot_wish_for_is_its_own_error(after_s: Any) -> None:
    with pytest.raises(ValueError, match=r"after_s: expected 0 to 316224000 seconds"):
        Snooze(after_s)
    if after_s is not None:
        with pytest.raises(ValueError, match="after_s"):
            Retry(after_s)


def test_a_wish_says_what_it_is() -> None:
    assert (str(Retry(5, "later")), Retry(5).after_s, Retry().after_s) == ("later", 5.0, None)
    assert (str(Snooze(90)), str(Cancel("enough")), str(Cancel())) == ("snoozed for 90 s", "enough", "the job cancelled itself")
