"""Judges a run by what it left: the database, the ids that were acknowledged, and the lines that jobs wrote. Pure, but for reading."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, NamedTuple

from tests.torture.recovery import Taken
from tests.torture.workload import SUCCEEDED, Filed, Kind

SHOWN_MAX = 20


class Line(NamedTuple):
    """A start of a job, as the job itself wrote it."""

    number: int
    pid: int
    supervisor: int
    at: float


class Result(NamedTuple):
    """The row of farm.result, as far as it is judged."""

    job_id: int
    status: int
    attempt: int
    lease_id: int
    value: Any
    finished_at: float


class History(NamedTuple):
    """Everything that is known of a run."""

    filed: Sequence[Filed]
    """Jobs whose id was acknowledged."""
    jobs: set[int]
    """Ids of all rows of farm.job, those whose enqueue had no answer too."""
    results: Sequence[Result]
    failures: Mapping[int, Sequence[str]]
    """The kinds of used attempts of each job."""
    lines: Sequence[Line]
    seen: Mapping[int, Result]
    """Results that were read while the run went on."""
    retried: Set[int] = frozenset()
    """Jobs that were tried again by hand: their result may change, and their attempts were counted anew."""


def read_lines(path: Path) -> list[Line]:
    """Read the effect log."""
    lines = []
    for text in path.read_text().splitlines() if path.exists() else []:
        number, pid, supervisor, at = text.split()
        lines.append(Line(int(number), int(pid), int(supervisor), float(at)))
    return lines


def judge(history: History, kinds: Mapping[str, Kind]) -> list[str]:
    """Return every violation as a line that names the ids."""
    counts = Counter(result.job_id for result in history.results)
    by_id = {result.job_id: result for result in history.results}
    starts = Counter(line.number for line in history.lines)
    found: dict[str, list[int]] = defaultdict(list)
    for job_id in history.jobs:
        if counts[job_id] != 1:
            found["has no result" if not counts[job_id] else "has several results"].append(job_id)
    for job in history.filed:
        if job.job_id not in history.jobs:
            found["was acknowledged and is gone"].append(job.job_id)
        elif job.job_id in by_id:
            failures = history.failures.get(job.job_id, ())
            anew = job.job_id in history.retried
            for problem in _problems(job, kinds[job.kind], by_id[job.job_id], failures, starts[job.number], anew=anew):
                found[problem].append(job.job_id)
    for job_id, before in history.seen.items():
        if by_id.get(job_id) != before and job_id not in history.retried:
            found["had another result before"].append(job_id)
    known = {job.number for job in history.filed}
    repeated = [number for number, times in Counter(job.number for job in history.filed).items() if times > 1]
    assert not repeated, "the producer numbers its jobs"
    unknown = len(history.jobs) - len(known & {job.number for job in history.filed if job.job_id in history.jobs})
    assert unknown >= 0
    return [f"{problem}: {_named(ids)}" for problem, ids in found.items()]


def _problems(job: Filed, kind: Kind, result: Result, failures: Sequence[str], starts: int, *, anew: bool) -> Iterable[str]:
    if result.status not in kind.ends:
        yield f"ended with status {result.status}, which {job.kind} cannot"
    if result.attempt > kind.max_attempts:
        yield "used more attempts than it had"
    if not kind.runs and (starts or failures):
        yield "was started though it is not allowed"
    # A line is the first thing that a job does: whoever has returned or raised has left one for that run.
    ran = (result.status == SUCCEEDED) + sum(failure == "failed" for failure in failures)
    if kind.runs and starts < ran:
        yield "has more outcomes than starts"
    if result.status == SUCCEEDED and _number(result.value) != job.number:
        yield "has the result of another"
    for failure in kind.never & set(failures):
        yield f"has an attempt that ended as {failure}, which {job.kind} cannot"
    if len(failures) + (result.status == SUCCEEDED) > result.attempt and not anew:
        yield "has more attempts in its history than it used"


def _number(value: Any) -> Any:
    return value[0] if isinstance(value, list) else value


def _named(ids: Sequence[int]) -> str:
    shown = ", ".join(map(str, sorted(ids)[:SHOWN_MAX]))
    return f"job {shown}{f' and {len(ids) - SHOWN_MAX} more' if len(ids) > SHOWN_MAX else ''}"


def runs_again(history: History) -> int:
    """Return how many runs there were beyond those that the jobs' own doing explains.

    A job explains a run by each failure of its own (it raised, crashed, hung, wanted too much), by its success, and by having been
    cancelled while it ran. One that asks to come back later leaves no trace of it, and is not looked at.
    """
    starts = Counter(line.number for line in history.lines)
    results = {result.job_id: result for result in history.results}
    again = 0
    for job in history.filed:
        result = results.get(job.job_id)
        if result is None or job.kind == "wish":
            continue
        failures = history.failures.get(job.job_id, ())
        own = sum(failure in ("failed", "timed_out", "memory", "cancelled") for failure in failures) + (result.status == SUCCEEDED)
        if job.kind in ("vanish", "segfault"):
            own += sum(failure == "crashed" for failure in failures)
        again += max(0, starts[job.number] - own)
    return again


def attempts_without_start(history: History) -> int:
    """Count attempts that were used, according to the history of their jobs, and of which no line tells."""
    starts = Counter(line.number for line in history.lines)
    succeeded = {result.job_id for result in history.results if result.status == SUCCEEDED}
    missing = 0
    for job in history.filed:
        used = sum(kind != "retried" for kind in history.failures.get(job.job_id, ())) + (job.job_id in succeeded)
        missing += max(0, used - starts[job.number])
    return missing


def next_starts(kills: Sequence[tuple[float, int]], history: History) -> list[Taken]:
    """For each kill of a subworker that ran a job: the time until that job was started again, or had ended for good."""
    lines_of_pid: dict[int, list[Line]] = defaultdict(list)
    lines_of_job: dict[int, list[float]] = defaultdict(list)
    for line in sorted(history.lines, key=lambda line: line.at):
        lines_of_pid[line.pid].append(line)
        lines_of_job[line.number].append(line.at)
    job_ids = {job.number: job.job_id for job in history.filed}
    results = {result.job_id: result for result in history.results}
    taken = []
    for at, pid in kills:
        before = [line for line in lines_of_pid[pid] if line.at <= at]
        result = results.get(job_ids.get(before[-1].number, 0)) if before else None
        if result is None or result.finished_at <= at:
            continue
        again = next((start for start in lines_of_job[before[-1].number] if start > at), result.finished_at)
        taken.append(Taken(at, min(again, result.finished_at)))
    return taken
