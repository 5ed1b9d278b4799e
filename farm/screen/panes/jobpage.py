"""The page of a job: what it is, its attempts, its logs, as `Source.job` returns them. Pure.

Nothing is taken for granted about the mapping: what is missing is left out, and every text in it is foreign.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from farm.screen.amounts import share_text
from farm.screen.columns import filled
from farm.screen.glyphs import Glyphs
from farm.screen.panes.listing import title_row
from farm.screen.panes.pages import labelled
from farm.screen.state import JobPage
from farm.screen.styles import Row
from farm.screen.text import clean, clean_lines, wrap
from farm.units import format_duration, format_size, format_time

LINES = (
    "state", "task", "args", "queue", "lane", "runner", "priority", "attempt", "memory_bytes", "retry", "created_at",
    "run_at", "expires_at", "waits_because", "started_at", "finished_at", "host", "progress", "result",
)  # fmt: skip
LABELS = {"memory_bytes": "memory", "created_at": "created", "run_at": "due", "expires_at": "expires", "waits_because": "waits",
          "started_at": "started", "finished_at": "finished"}  # fmt: skip
LOG_LINES_MAX = 2_000
"""The last lines of the logs are those that tell why."""
OLD_LINES_MAX = 10
"""Of an earlier attempt: `farm logs` has all of it."""
STATES = {"succeeded": "good", "failed": "bad", "cancelled": "warning", "retrying": "warning", "running": "busy", "claimed": "busy"}


@lru_cache(maxsize=2)
def job_page(job_id: int, page: JobPage | None, width: int, glyphs: Glyphs) -> list[Row]:
    """Return the page; page: what was looked up last, perhaps of another job. Thousands of lines of a log are made once, not each frame."""
    rows = [title_row("Job", (str(job_id),), "", width, glyphs, focused=True)]
    if page is None or page.job_id != job_id or (page.job is None and not page.error):
        return [*rows, filled([(f" looking{glyphs.ellipsis}", "dim")], width, glyphs)]
    if page.job is None:
        return [*rows, filled([(f" {glyphs.warning} {clean(page.error, ascii_only=glyphs.ascii_only)}", "bad")], width, glyphs)]
    job = page.job
    for name in LINES:
        value = job.get(name)
        if value is None or value == "" or (name == "result" and job.get("state") != "succeeded"):
            continue
        text = _text(name, value, job, glyphs)
        label = LABELS.get(name, name)
        styled = [(text, STATES.get(str(value), ""))] if name == "state" else text
        rows += labelled(label, styled, width, glyphs)
    if job.get("error"):
        rows += labelled("error", _error(job["error"], glyphs), width, glyphs)
    attempts = job.get("attempts")
    known = [attempt for attempt in attempts if isinstance(attempt, Mapping)] if isinstance(attempts, list) else []
    for attempt in known:
        rows += _attempt(attempt, width, glyphs)
        if attempt is not known[-1]:
            rows += _printed(attempt.get("log"), width, glyphs)
    rows += _logs(job.get("logs"), width, glyphs)
    return rows


def _attempt(attempt: Mapping[str, Any], width: int, glyphs: Glyphs) -> list[Row]:
    number = attempt.get("attempt")
    notes = [clean(attempt.get("kind", ""), ascii_only=glyphs.ascii_only)]
    for name in ("started_at", "finished_at"):
        if attempt.get(name) is not None:
            notes.append(f"{LABELS[name]} {_text(name, attempt[name], attempt, glyphs)}")
            break
    if isinstance(attempt.get("took_s"), int | float):
        notes.append(f"took {format_duration(attempt['took_s'])}")
    if isinstance(attempt.get("peak_bytes"), int | float):
        notes.append(f"peak {format_size(attempt['peak_bytes'])}")
    if attempt.get("host"):
        notes.append(f"on {clean(attempt['host'], ascii_only=glyphs.ascii_only)}")
    rows = [
        title_row(
            "Never started" if number is None else f"Attempt {clean(number, ascii_only=glyphs.ascii_only)}", tuple(notes), "", width, glyphs
        )
    ]
    error = attempt.get("error")
    if not error:
        return rows
    traceback = error.get("traceback") if isinstance(error, Mapping) else None
    lines = clean_lines(str(traceback), ascii_only=glyphs.ascii_only) if traceback else [_error(error, glyphs)]
    return rows + _block(lines, width, glyphs)


def _printed(log: object, width: int, glyphs: Glyphs) -> list[Row]:
    """Return the end of what an earlier attempt has printed."""
    if not log:
        return []
    lines = clean_lines(str(log), ascii_only=glyphs.ascii_only)
    shown = lines[-OLD_LINES_MAX:]
    return [
        filled([(f"  it printed, the last {len(shown)} of {len(lines):,} lines:", "dim")], width, glyphs),
        *_block(shown, width, glyphs),
    ]


def _logs(logs: object, width: int, glyphs: Glyphs) -> list[Row]:
    if not logs:
        return []
    lines = clean_lines(str(logs), ascii_only=glyphs.ascii_only)
    notes = (f"the last {LOG_LINES_MAX:,} of {len(lines):,} lines",) if len(lines) > LOG_LINES_MAX else (f"{len(lines):,} lines",)
    return [title_row("Logs", notes, "", width, glyphs), *_block(lines[-LOG_LINES_MAX:], width, glyphs)]


def _block(lines: list[str], width: int, glyphs: Glyphs) -> list[Row]:
    return [filled([(f"  {piece}", "")], width, glyphs) for line in lines for piece in wrap(line, max(width - 4, 10))]


def _error(error: object, glyphs: Glyphs) -> str:
    if isinstance(error, Mapping):
        kind, message = error.get("type"), error.get("message")
        if kind or message:
            return clean(": ".join(str(part) for part in (kind, message) if part), ascii_only=glyphs.ascii_only)
    return _json(error, glyphs) if isinstance(error, Mapping | list) else clean(error, ascii_only=glyphs.ascii_only)


def _text(name: str, value: object, job: Mapping[str, Any], glyphs: Glyphs) -> str:
    if isinstance(value, datetime):
        return format_time(value)
    if name in ("args", "result"):
        return _json(value, glyphs)
    if name == "attempt" and isinstance(job.get("max_attempts"), int):
        return clean(f"{value} of {job['max_attempts']}", ascii_only=glyphs.ascii_only)
    if name == "memory_bytes" and isinstance(value, int):
        return format_size(value)
    if name == "progress" and isinstance(value, Mapping):
        fraction, said = value.get("fraction"), value.get("text")
        share = share_text(fraction) if isinstance(fraction, int | float) and 0 <= fraction <= 1 else ""
        return clean(" ".join(part for part in (share.strip(), str(said or "")) if part), ascii_only=glyphs.ascii_only)
    if isinstance(value, Mapping):
        parts = (f"{key} {part}" for key, part in value.items() if part is not None)
        return clean(", ".join(parts), ascii_only=glyphs.ascii_only)
    return clean(value, ascii_only=glyphs.ascii_only)


def _json(value: object, glyphs: Glyphs) -> str:
    return clean(json.dumps(value, ensure_ascii=False, default=str), ascii_only=glyphs.ascii_only)
