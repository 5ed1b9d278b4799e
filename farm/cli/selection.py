"""The jobs that a command is about: by their numbers, or all of a queue, a task and a state; those are counted, and asked about, first."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from farm.cli.plain import one_line
from farm.errors import FarmError
from farm.model import State
from farm.units import counted

if TYPE_CHECKING:
    from farm.store.session import Session


def add_selection_arguments(parser: argparse.ArgumentParser, states: Sequence[State], *, queue: str = "--queue") -> None:
    """Add ID..., --queue (or what it is called), --task, --state and --yes. states: those in which a job can be meant."""
    from farm.cli.job import job_id

    parser.add_argument("ids", metavar="ID", type=job_id, nargs="*", help="the number of a job")
    group = parser.add_argument_group("or all jobs that have not ended")
    group.add_argument(queue, dest="of_queue", metavar="Q", help="of this queue")
    group.add_argument("--task", metavar="P", help="of this task; * stands for any characters: 'mail:*'")
    group.add_argument("--state", choices=[str(state) for state in states], metavar="S", help=f"in this state: {', '.join(states)}")
    group.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--json", action="store_true", help="print a JSON object that counts what became of them")
    parser.set_defaults(states=tuple(states), queue_option=queue)


def check_selection(args: argparse.Namespace) -> None:
    """See that either numbers or options were given. Raises FarmError."""
    by_options = any(option is not None for option in (args.of_queue, args.task, args.state))
    if bool(args.ids) == by_options:
        raise FarmError(f"expected either IDs, or {args.queue_option}, --task or --state, which find them")


def states_of(args: argparse.Namespace) -> frozenset[State]:
    """Return the states that are meant."""
    return frozenset(args.states if args.state is None else [State(args.state)])


def selected(session: Session, args: argparse.Namespace, question: str, *, jobs_max: int) -> Iterator[list[int]] | None:
    """Return the numbers of the jobs, up to jobs_max at a time; None if the answer was no.

    question: what would be done, such as `would be cancelled`. Raises FarmError where nobody can be asked.
    """
    if args.ids:
        return _pieces([sorted(set(args.ids))], jobs_max)
    from farm.store.selections import Selection, SelectionStore

    store = SelectionStore(session)
    selection = Selection(args.of_queue, args.task, states_of(args))
    if not args.yes:
        count = store.count(selection)
        if not count:
            # Nobody was asked about what comes up meanwhile.
            return iter(())
        if not ask(f"{counted(count, 'job')}{_of_queue(args)} {question}"):
            return None
    return _pieces((page.job_ids for page in store.pages(selection)), jobs_max)


def ask(what: str) -> bool:
    """Ask whether to go on. Raises FarmError where nobody can be asked."""
    if not sys.stdin.isatty():
        raise FarmError(f"{what}: give --yes, since there is no terminal to ask on")
    print(f"{what}. Go on? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _of_queue(args: argparse.Namespace) -> str:
    return f" of the queue {one_line(args.of_queue)}" if args.of_queue is not None else ""


def _pieces(pages: Iterable[list[int]], jobs_max: int) -> Iterator[list[int]]:
    for ids in pages:
        for start in range(0, len(ids), jobs_max):
            yield ids[start : start + jobs_max]
