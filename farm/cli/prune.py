"""`farm prune`: removes old finished jobs now, as a running farm does in its own time; or says what would go."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from farm.errors import FarmError
from farm.model import Retention
from farm.units import counted, format_duration, format_size, parse_duration

if TYPE_CHECKING:
    from farm.store.prunes import Count, Partition, PruneStore, Sample
    from farm.store.session import Session

STEP_JOBS = 10_000
LOCK_MS = 20
PATIENCE_S = 60.0
"""So long the tables are tried for, where somebody is always at work on them."""
AGAIN_S = 0.5

EPILOG = """\
How long jobs are kept is what --succeeded, --failed and --cancelled say (7d, 12h, never); what they leave out is as --config says
in its section `retention`. Cancelled jobs are kept as long as failed ones if nobody says otherwise. Jobs that have not ended stay.

Jobs go by partitions, which are ranges of their ids: what is to stay of one is copied, the rest goes with the old tables. One of
which less than 80 % may go (of a small one, half) stays as it is. A running farm goes on meanwhile. Exit code 1 if somebody was in
the way, or the answer was no; what was begun is gone on with by the next `farm prune`, or by a farm.

examples:
  farm prune --dry-run --config farm.yaml
  farm prune --succeeded 7d --failed 30d
"""


class Look(NamedTuple):
    """What was found of one partition."""

    partition: Partition
    sample: Sample
    counts: Count

    @property
    def goes(self) -> bool:
        return self.sample.due

    @property
    def why(self) -> str:
        """Say what becomes of it."""
        if self.goes:
            first = "" if self.partition.closed else "; new jobs go into the next one first"
            return f"{counted(self.counts.going, 'job')} would go{first}"
        if not self.counts.going:
            return "stays: nothing in it may go"
        from farm.store.prunes import GOING_SHARE, GOING_SHARE_SMALL

        needed = GOING_SHARE_SMALL if self.sample.small else GOING_SHARE
        return f"stays: {self.counts.going / max(1, self.counts.jobs):.0%} may go, less than {needed:.0%}"

    def as_data(self) -> dict[str, Any]:
        return {
            "first_id": self.partition.lower_id,
            "last_id": self.partition.upper_id - 1,
            "takes_new_jobs": not self.partition.closed,
            **self.counts._asdict(),
            "goes": self.goes,
            "why": self.why,
        }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `farm prune`."""
    from farm.cli.opening import add_database_arguments

    parser.epilog = EPILOG
    parser.add_argument("--succeeded", metavar="AGE", type=_age, help="remove jobs that succeeded longer ago than this")
    parser.add_argument("--failed", metavar="AGE", type=_age, help="remove jobs that failed longer ago than this")
    parser.add_argument("--cancelled", metavar="AGE", type=_age, help="remove jobs that were cancelled, or expired, longer ago than this")
    parser.add_argument("--dry-run", action="store_true", help="only say what would go, what stays, and why")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_database_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Look, say what would go, ask, and remove it."""
    from farm.cli.opening import announce, open_database, open_session
    from farm.cli.selection import ask
    from farm.store.prunes import PruneStore

    retention = _retention(args)
    with open_database(args) as database, open_session(database) as session:
        announce(database)
        store = PruneStore(session)
        looks = _look(store, retention)
        going = sum(look.counts.going for look in looks if look.goes)
        if args.dry_run:
            _show(looks, retention, args)
            return 0
        code, removed = 0, 0
        under_way = any(store.under_way())
        if going or under_way:
            begun = "; and what was begun before is gone on with" if under_way else ""
            if not args.yes and not ask(f"{counted(going, 'job')} would be removed for ever{begun}"):
                print("nothing was done")
                return 1
            code, removed = _prune(store, retention)
        _tidy(session)
    if args.json:
        _print_json({"removed": removed, "complete": code == 0})
    elif going or under_way:
        print(f"removed {counted(removed, 'job')}")
    else:
        print("there is nothing to remove")
    return code


def _retention(args: argparse.Namespace) -> Retention:
    """Return how long jobs are kept, by the options or the configuration. Raises FarmError if nobody says."""
    said = Retention()
    if args.config is not None:
        from farm.config import load

        said = load(args.config, to_run=False).retention
    ages = {"succeeded_s": args.succeeded, "failed_s": args.failed, "cancelled_s": args.cancelled}
    if args.cancelled is None and args.failed is not None and said.cancelled_s == said.failed_s:
        ages["cancelled_s"] = args.failed
    retention = said._replace(**{name: None if age_s == "never" else age_s for name, age_s in ages.items() if age_s is not None})
    if retention.shortest_s is None:
        raise FarmError("nothing says how long jobs are kept: give --succeeded 7d, --failed 30d, or a --config with `retention`")
    return retention


def _look(store: PruneStore, retention: Retention) -> list[Look]:
    partitions = store.partitions()
    with _progress("looking", len(partitions)) as show:
        looks = []
        for place, partition in enumerate(partitions, 1):
            looks.append(Look(partition, store.sample(partition, retention), store.count(partition, retention)))
            show(place)
    return looks


def _prune(store: PruneStore, retention: Retention) -> tuple[int, int]:
    """Remove what may go; returns the exit code, and how many jobs are gone."""
    removed = 0
    partitions = store.partitions()
    if partitions and not partitions[-1].closed and store.sample(partitions[-1], retention).due:
        deadline = time.monotonic() + PATIENCE_S
        # Not while somebody files jobs just now.
        while not store.begin_next(0.0) and time.monotonic() < deadline:
            time.sleep(AGAIN_S)
    with _progress("removing", 1) as show:
        while True:
            while store.under_way().leaving and store.drop():
                pass
            if not store.under_way().pruning and not _begin(store, retention):
                if store.due(retention) is None:
                    return 0, removed
                _complain(store)
                return 1, removed
            step = store.go_on(STEP_JOBS, 1.0)
            while step.state in ("copying", "busy"):
                if step.state == "busy":
                    time.sleep(AGAIN_S)
                show(step.done)
                step = store.go_on(STEP_JOBS, 1.0)
            done = _finish(store)
            if done == "locked":
                _complain(store)
                return 1, removed
            # Else somebody else was quicker, and it is his to count.
            removed += step.jobs - step.kept if done == "pruned" else 0


def _begin(store: PruneStore, retention: Retention) -> bool:
    """Begin with what is due, as soon as nobody is in the way; False: nothing is, or somebody is all the time."""
    deadline = time.monotonic() + PATIENCE_S
    while not (begun := store.begin_due(retention) or store.under_way().pruning):
        if store.due(retention) is None or time.monotonic() > deadline:
            break
        time.sleep(AGAIN_S)
    return begun


def _finish(store: PruneStore) -> str:
    deadline = time.monotonic() + PATIENCE_S
    while (done := store.finish(LOCK_MS)) == "locked" and time.monotonic() < deadline:
        time.sleep(AGAIN_S)
    return done


def _complain(store: PruneStore) -> None:
    from farm.cli.plain import one_line

    oldest = store.in_the_way()
    who = f"; {one_line(oldest.who)} has had a transaction open for {format_duration(oldest.age_s)}" if oldest else ""
    print(f"farm prune: somebody is at work on the tables all the time: try again later{who}", file=sys.stderr)


def _tidy(session: Session) -> None:
    """Remove what is small and left over, too."""
    from farm.store.upkeep import UpkeepStore

    upkeep = UpkeepStore(session)
    upkeep.prune_hosts()
    upkeep.prune_waiters()
    upkeep.prune_requests()


def _show(looks: list[Look], retention: Retention, args: argparse.Namespace) -> None:
    going = sum(look.counts.going for look in looks if look.goes)
    gained = sum(look.counts.bytes * look.counts.going / max(1, look.counts.jobs) for look in looks if look.goes)
    if args.json:
        _print_json({**retention._asdict(), "jobs": going, "bytes": round(gained), "partitions": [look.as_data() for look in looks]})
        return
    from farm.cli.table import Table

    table = Table("ids", "jobs", "size", "succeeded", "failed", "cancelled", "not ended", "what becomes of it", right=_NUMBERS)
    for look in looks:
        ids = f"{look.partition.lower_id:,} to {look.partition.upper_id - 1:,}"
        count = look.counts
        numbers = (count.jobs, format_size(count.bytes), count.succeeded, count.failed, count.cancelled, count.unfinished)
        table.add(ids, *(f"{number:,}" if isinstance(number, int) else number for number in numbers), look.why)
    table.show()
    print(f"{counted(going, 'job')} would go, about {format_size(gained)}. Under their endings stands how many are old enough.")


_NUMBERS = ("jobs", "size", "succeeded", "failed", "cancelled", "not ended")


def _print_json(data: dict[str, Any]) -> None:
    import orjson

    print(orjson.dumps(data).decode())


@contextmanager
def _progress(what: str, total: float) -> Iterator[Callable[[float], None]]:
    """Give a function that shows how much is done: a bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn(what), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.update(task, completed=done)


def _age(text: str) -> float | str:
    if text == "never":
        return text
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
