"""What `farm move` and `farm set` have in common: changing the queue entries of jobs that wait."""

from __future__ import annotations

import argparse
from datetime import datetime
from typing import Literal

from farm.cli.plain import as_json, one_line
from farm.cli.progress import progress
from farm.cli.selection import check_selection, selected
from farm.model import State
from farm.units import counted

JOBS_MAX = 2_000
"""In one statement: a change takes five times as long as a cancel, and their rows are locked for so long."""
WAITING_STATES = (State.SCHEDULED, State.READY, State.RETRYING)


def change(
    args: argparse.Namespace,
    done: str,
    *,
    queue: str | None = None,
    priority: int | None = None,
    run_at: datetime | Literal["now"] | None = None,
) -> int:
    """Change the jobs that the command line means; what is None stays. done: what they then are. Returns the exit code."""
    check_selection(args)
    from farm.cli.opening import announce, open_database, open_session
    from farm.store.cancels import CancelStore, Changed

    with open_database(args) as database, open_session(database) as session:
        announce(database)
        store, total = CancelStore(session), Changed(0, 0, 0, 0)
        # Of the database's clock, which decides what is due.
        due_at = session.fetch("read_clock")[0][0] if run_at == "now" else run_at
        # What cannot be said of any job is refused before anybody is asked.
        store.change([], queue=queue, priority=priority, run_at=due_at)
        pieces = selected(session, args, f"would be {one_line(done)}", jobs_max=JOBS_MAX)
        if pieces is None:
            print(as_json(total._asdict()) if args.json else "nothing was done")
            return 1
        seen: set[int] = set()
        with progress("changing", len(args.ids) or None) as advance:
            for job_ids in pieces:
                # What was changed stands in `returned` now, where it is found again.
                fresh = [job_id for job_id in job_ids if job_id not in seen]
                seen.update(fresh)
                if fresh:
                    total += store.change(fresh, queue=queue, priority=priority, run_at=due_at)
                advance(len(fresh))
    print(as_json(total._asdict()) if args.json else _told(total, one_line(done)))
    return 1 if total.unknown else 0


def _told(total: tuple[int, int, int, int], done: str) -> str:
    changed, held, ended, unknown = total
    parts = [
        f"{counted(changed, 'job')} {done}" if changed else "",
        f"{counted(held, 'job')} not waiting any more" if held else "",
        f"{counted(ended, 'job')} had ended before" if ended else "",
        f"{counted(unknown, 'job')} not found" if unknown else "",
    ]
    return ", ".join(filter(None, parts)) or "there is nothing to change"
