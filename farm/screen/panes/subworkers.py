"""The subworkers of this host: their memory against its limit, what they run and how far it is, and why they were replaced. Pure."""

from __future__ import annotations

from farm.screen.amounts import COUNT_WIDTH, NONE, SHARE_WIDTH, count_text, share_text, size_text
from farm.screen.columns import Cell, Column
from farm.screen.glyphs import Glyphs
from farm.screen.model import JobRun, SubworkerView
from farm.screen.panes.marks import MEMORY_HIGH, bar, foreign, marked, memory_style, none_cell, time_cell
from farm.screen.styles import Span
from farm.screen.text import clean

CPU_FULL = 0.9


def subworker_mark(one: SubworkerView, glyphs: Glyphs) -> Span:
    """Return the sign of what a subworker does."""
    match one.state:
        case "busy":
            return (glyphs.good, "busy")
        case "idle" | "serving":
            return (glyphs.good, "busy") if one.jobs else (glyphs.idle, "dim")
        case "born":
            return (glyphs.coming, "warning")
        case "leaving":
            return (glyphs.going, "warning")
        case "doomed":
            return (glyphs.warning, "bad")
    return (glyphs.dead, "bad")


def memory_share(one: SubworkerView) -> float:
    """Return how much of its memory a subworker takes, 0 to 1 and beyond."""
    return one.rss_bytes / one.limit_bytes if one.limit_bytes > 0 else 0.0


def memory_text(one: SubworkerView, glyphs: Glyphs) -> str:
    """Show memory against its limit: `243M/256M`, with a sign where that is close."""
    sign = glyphs.warning if memory_share(one) >= MEMORY_HIGH else ""
    return f"{sign}{size_text(one.rss_bytes)}/{size_text(one.limit_bytes) if one.limit_bytes > 0 else NONE}"


def task_text(one: SubworkerView, glyphs: Glyphs) -> str:
    """Name the task of the longest job that runs, and how many run beside it."""
    if not one.jobs:
        return NONE
    beside = f" +{len(one.jobs) - 1:,}" if len(one.jobs) > 1 else ""
    # It is not told with the job's start, but a moment later.
    return (clean(one.jobs[0].task, ascii_only=glyphs.ascii_only) or glyphs.ellipsis) + beside


def _longest(one: SubworkerView) -> JobRun | None:
    return one.jobs[0] if one.jobs else None


def _name(one: SubworkerView, size: int, glyphs: Glyphs) -> Cell:
    return marked(subworker_mark(one, glyphs), one.name, size, glyphs)


def _bar(one: SubworkerView, size: int, glyphs: Glyphs) -> Cell:
    share = memory_share(one)
    return bar(share, size, glyphs, memory_style(share))


def _memory(one: SubworkerView, size: int, glyphs: Glyphs) -> Cell:
    share = memory_share(one)
    return (memory_text(one, glyphs), memory_style(share) if share >= MEMORY_HIGH else "")


def _cpu(one: SubworkerView, size: int, glyphs: Glyphs) -> Cell:
    return (share_text(one.cpu), "bold" if (one.cpu or 0.0) >= CPU_FULL else "" if one.cpu else "dim")


def _job(one: SubworkerView, size: int, glyphs: Glyphs) -> Cell:
    job = _longest(one)
    return none_cell() if job is None else (str(job.job_id), "")


def _task(one: SubworkerView, size: int, glyphs: Glyphs) -> Cell:
    return (task_text(one, glyphs), "" if one.jobs else "dim")


def _running(one: SubworkerView, size: int, glyphs: Glyphs) -> Cell:
    job = _longest(one)
    return none_cell() if job is None else time_cell(job.running_s)


def _done(one: SubworkerView, size: int, glyphs: Glyphs) -> Cell:
    job = _longest(one)
    return ("", "") if job is None or job.progress is None else (share_text(job.progress), "good")


def _says(one: SubworkerView, size: int, glyphs: Glyphs) -> Cell:
    job = _longest(one)
    return ("", "") if job is None else foreign(job.text, glyphs)


def _restarts(one: SubworkerView, size: int, glyphs: Glyphs) -> Cell:
    return (f"{one.restarts:,}", "warning" if one.restarts else "dim")


def _why(one: SubworkerView, size: int, glyphs: Glyphs) -> Cell:
    return foreign(one.restarted_why, glyphs, "dim")


COLUMNS: tuple[Column[SubworkerView], ...] = (
    Column(name="POST", width=7, most=14, keep=100, cell=_name),
    Column(name="PID", width=7, keep=40, right=True, cell=lambda one, size, glyphs: (str(one.pid), "dim")),
    Column(name="LANE", width=8, most=24, keep=85, cell=lambda one, size, glyphs: foreign(one.lane, glyphs)),
    Column(name="STATE", width=7, keep=30, cell=lambda one, size, glyphs: foreign(one.state, glyphs)),
    Column(name="MEMORY", width=8, most=20, keep=65, cell=_bar),
    Column(name="USED/LIMIT", width=11, keep=84, right=True, cell=_memory),
    Column(name="CPU", width=SHARE_WIDTH, keep=75, right=True, cell=_cpu),
    Column(name="JOB", width=9, keep=70, right=True, cell=_job),
    Column(name="TASK", width=20, most=40, grow=2, keep=95, cell=_task),
    Column(name="FOR", width=5, keep=88, right=True, cell=_running),
    Column(name="DONE", width=SHARE_WIDTH, keep=80, right=True, cell=_done),
    Column(name="SAYS", width=12, most=40, keep=20, cell=_says),
    Column(name="ENDED", width=COUNT_WIDTH, keep=50, right=True, cell=lambda one, size, glyphs: (count_text(one.ended), "")),
    Column(name="NEW", width=3, keep=60, right=True, cell=_restarts),
    Column(name="WHY NEW", width=12, most=60, grow=2, keep=55, cell=_why),
)
