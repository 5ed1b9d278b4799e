"""The subworkers of this host: their memory against its limit, what they run and how far it is, and why they were replaced. Pure."""

from __future__ import annotations

from operator import attrgetter

from farm.screen.amounts import COUNT_WIDTH, NONE, SHARE_WIDTH, count_text, share_text, size_text
from farm.screen.columns import Cell, Column
from farm.screen.glyphs import Glyphs
from farm.screen.model import JobRun, SubworkerView
from farm.screen.panes.marks import MEMORY_HIGH, bar, foreign, marked, memory_style, none_cell, time_cell
from farm.screen.styles import Span
from farm.screen.text import clean

CPU_FULL = 0.9


def subworker_mark(state: str, runs: bool, glyphs: Glyphs) -> Span:
    """Return the sign of what a subworker does. runs: whether it has a job."""
    match state:
        case "busy":
            return (glyphs.good, "busy")
        case "idle" | "serving":
            return (glyphs.good, "busy") if runs else (glyphs.idle, "dim")
        case "born":
            return (glyphs.coming, "warning")
        case "leaving":
            return (glyphs.going, "warning")
        case "doomed":
            return (glyphs.warning, "bad")
    return (glyphs.dead, "bad")


def memory_share(one: SubworkerView) -> float:
    """Return how much of its memory a subworker takes, 0 to 1 and beyond."""
    return _share(one.rss_bytes, one.limit_bytes)


def _share(rss_bytes: int, limit_bytes: int) -> float:
    return rss_bytes / limit_bytes if limit_bytes > 0 else 0.0


def _longest(one: SubworkerView) -> JobRun | None:
    return one.jobs[0] if one.jobs else None


def _name(shown: tuple[str, bool, str], size: int, glyphs: Glyphs) -> Cell:
    state, runs, name = shown
    return marked(subworker_mark(state, runs, glyphs), name, size, glyphs)


def _bar(share: float, size: int, glyphs: Glyphs) -> Cell:
    return bar(share, size, glyphs, memory_style(share))


def _memory(shown: tuple[int, int], size: int, glyphs: Glyphs) -> Cell:
    """Show memory against its limit: `243M/256M`, with a sign where that is close."""
    rss_bytes, limit_bytes = shown
    share = _share(rss_bytes, limit_bytes)
    is_high = share >= MEMORY_HIGH
    text = f"{glyphs.warning if is_high else ''}{size_text(rss_bytes)}/{size_text(limit_bytes) if limit_bytes > 0 else NONE}"
    return (text, memory_style(share) if is_high else "")


def _cpu(cpu: float | None, size: int, glyphs: Glyphs) -> Cell:
    return (share_text(cpu), "bold" if (cpu or 0.0) >= CPU_FULL else "" if cpu else "dim")


def _job(one: SubworkerView, size: int, glyphs: Glyphs) -> Cell:
    job = _longest(one)
    return none_cell() if job is None else (str(job.job_id), "")


def _task(shown: tuple[str, int], size: int, glyphs: Glyphs) -> Cell:
    """Name the task of the longest job that runs, and how many run beside it."""
    task, jobs = shown
    if not jobs:
        return none_cell()
    beside = f" +{jobs - 1:,}" if jobs > 1 else ""
    # It is not told with the job's start, but a moment later.
    return ((clean(task, ascii_only=glyphs.ascii_only) or glyphs.ellipsis) + beside, "")


def _running(one: SubworkerView, size: int, glyphs: Glyphs) -> Cell:
    job = _longest(one)
    return none_cell() if job is None else time_cell(job.running_s)


def _done(progress: float | None, size: int, glyphs: Glyphs) -> Cell:
    return ("", "") if progress is None else (share_text(progress), "good")


def _restarts(restarts: int, size: int, glyphs: Glyphs) -> Cell:
    return (f"{restarts:,}", "warning" if restarts else "dim")


def _why(why: str, size: int, glyphs: Glyphs) -> Cell:
    """Begin with what tells: whose end it was says the row."""
    return foreign(why.removeprefix("its subworker ").removeprefix("was "), glyphs, "dim")


COLUMNS: tuple[Column[SubworkerView], ...] = (
    Column(name="POST", width=7, most=14, keep=100, of=lambda one: (one.state, bool(one.jobs), one.name), cell=_name),
    Column(name="PID", width=7, keep=40, right=True, of=attrgetter("pid"), cell=lambda pid, size, glyphs: (str(pid), "dim")),
    Column(name="LANE", width=8, most=24, keep=85, of=attrgetter("lane"), cell=lambda lane, size, glyphs: foreign(lane, glyphs)),
    Column(name="STATE", width=7, keep=30, of=attrgetter("state"), cell=lambda state, size, glyphs: foreign(state, glyphs)),
    Column(name="MEMORY", width=8, most=20, keep=65, of=memory_share, cell=_bar),
    Column(name="USED/LIMIT", width=11, keep=84, right=True, of=attrgetter("rss_bytes", "limit_bytes"), cell=_memory),
    Column(name="CPU", width=SHARE_WIDTH, keep=75, right=True, of=attrgetter("cpu"), cell=_cpu),
    Column(name="JOB", width=9, keep=70, right=True, cell=_job),
    Column(
        name="TASK", width=20, most=40, grow=2, keep=95, of=lambda one: (one.jobs[0].task if one.jobs else "", len(one.jobs)), cell=_task
    ),
    Column(name="FOR", width=5, keep=88, right=True, cell=_running),
    Column(name="DONE", width=SHARE_WIDTH, keep=80, right=True, of=lambda one: one.jobs[0].progress if one.jobs else None, cell=_done),
    Column(
        name="SAYS",
        width=12,
        most=40,
        keep=20,
        of=lambda one: one.jobs[0].text if one.jobs else "",
        cell=lambda text, size, glyphs: foreign(text, glyphs),
    ),
    Column(
        name="ENDED",
        width=COUNT_WIDTH,
        keep=50,
        right=True,
        of=attrgetter("ended"),
        cell=lambda ended, size, glyphs: (count_text(ended), ""),
    ),
    Column(name="NEW", width=3, keep=60, right=True, of=attrgetter("restarts"), cell=_restarts),
    Column(
        name="WHY NEW",
        width=12,
        most=60,
        grow=2,
        keep=55,
        of=attrgetter("restarted_why"),
        cell=_why,
    ),
)
