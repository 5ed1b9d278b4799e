"""Prints what a run has shown: a table for people, a line of JSON for programs."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence

from tests.torture.run import Report


def lines_of(report: Report) -> Iterable[str]:
    """Give the table, line by line."""
    yield f"torture: seed {report.seed}, {report.seconds:g} s"
    yield ""
    yield from _table("how often each fault struck", sorted(report.fired.items()))
    yield from _table(
        "failpoints",
        [("of different names", len({name.partition(":")[0] for name in report.failpoints})), ("fired", sum(report.failpoints.values()))],
    )
    yield from _table(
        "jobs ended",
        [
            *sorted(report.ended.items()),
            ("cancels answered", report.cancels),
            ("tried again by hand", report.retries),
            ("filed without an answer, at most", report.unknown),
        ],
    )
    for title, recoveries in (
        ("recovery, with nothing else going on", report.alone),
        ("recovery, whatever else went on", report.recoveries),
    ):
        yield f"{title:62} {'times':>7} {'p50 s':>7} {'max s':>7}"
        for name, taken in sorted(recoveries.items()):
            if taken:
                yield f"  {name:60} {len(taken):7} {statistics.median(taken):7.2f} {max(taken):7.2f}"
        yield ""
    if report.not_back:
        yield from _table("not back within a minute, whatever else went on", sorted(report.not_back.items()))
    yield from _table(
        "runs",
        [
            ("starts of jobs", report.starts),
            ("again, through no doing of the job's", report.again),
            ("of these sent back, since one beside them was over its time", report.sent_back),
            ("the others, for 1,000 kills", _per_thousand(report)),
            ("attempts used, and no line of a start", report.blameless),
        ],
    )
    yield from _table("of what was asked for while farms ran", sorted(report.asked.items()))
    yield from _table("how attempts ended that did not succeed", sorted(report.attempts.items()))
    yield from _table("jobs filed that take memory or tell how far they are", sorted(report.shown.items()))
    yield from _table("commits, and outcomes that the fence dropped, as writers counted", sorted(report.dropped.items()))
    if report.exits:
        yield from _table("supervisors that left by themselves", sorted(report.exits.items()))
    yield f"all ended {report.drain_s:.1f} s after the last fault"
    if report.violations:
        yield f"VIOLATED (seed {report.seed}):"
        yield from (f"  {violation}" for violation in report.violations)
    else:
        yield "invariants: all hold; nothing lost, nothing finished twice, nothing left behind"


def as_json(report: Report) -> str:
    """Return the same as one line."""
    return json.dumps(
        {
            "torture": {
                "seed": report.seed,
                "seconds": report.seconds,
                "fired": report.fired,
                "failpoints": dict(report.failpoints),
                "ended": dict(report.ended),
                "unknown": report.unknown,
                "cancels": report.cancels,
                "retries": report.retries,
                "recoveries_alone": _summary(report.alone),
                "recoveries": _summary(report.recoveries),
                "starts": report.starts,
                "again": report.again,
                "sent_back": report.sent_back,
                "attempts_without_start": report.blameless,
                "again_for_1000_kills": _per_thousand(report),
                "kills": report.kills,
                "asked": dict(report.asked),
                "attempts": dict(report.attempts),
                "shown": dict(report.shown),
                "dropped": dict(report.dropped),
                "exits": report.exits,
                "drain_s": round(report.drain_s, 2),
                "violations": report.violations,
            }
        }
    )


def _per_thousand(report: Report) -> int:
    return round(1000 * max(0, report.again - report.sent_back) / report.kills) if report.kills else 0


def _summary(recoveries: Mapping[str, Sequence[float]]) -> dict[str, dict[str, float]]:
    return {
        name: {"times": len(taken), "p50_s": round(statistics.median(taken), 3), "max_s": round(max(taken), 3)}
        for name, taken in recoveries.items()
        if taken
    }


def _table(title: str, rows: Iterable[tuple[str, int]]) -> Iterable[str]:
    yield title
    for name, figure in rows:
        yield f"  {name:60} {figure:>7,}"
    yield ""
