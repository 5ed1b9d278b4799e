"""Plants every mistake in a copy of the sources, one at a time, and looks that its test fails. Exit code 1 if one does not."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from tests.mutants.all import ALL
from tests.mutants.copy import Copy, Run
from tests.mutants.mutation import Mutation, MutationError
from tests.servers import majors_under_test

AT_ONCE = 2
TAIL_LINES = 30


class Verdict(NamedTuple):
    """What became of one mutation."""

    mutation: Mutation
    caught: bool
    word: str
    seconds: float
    output: str = ""


def main() -> int:
    """Run them all, or those whose names hold one of the given texts."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("texts", nargs="*", help="only mutations whose names hold one of these")
    parser.add_argument("-j", type=int, default=AT_ONCE, metavar="N", dest="at_once", help=f"how many at once (default {AT_ONCE})")
    given = parser.parse_args()
    chosen = [mutation for mutation in ALL if not given.texts or any(text in mutation.name for text in given.texts)]
    major, begun = majors_under_test()[0], time.monotonic()
    whole = unmutated(chosen, major)
    if not whole.passed:
        print(f"{whole.output}\nthe tests fail without any mutation: nothing can be said")
        return 1
    print(f"all their tests pass without a mutation, on PostgreSQL {major} ({time.monotonic() - begun:.0f} s)", flush=True)
    caught = 0
    pool = ThreadPoolExecutor(given.at_once)
    try:
        for verdict in pool.map(lambda mutation: tried(mutation, major), chosen):
            caught += verdict.caught
            print(f"{verdict.word:<9} {verdict.mutation.name}  [{verdict.mutation.caught_by}, {verdict.seconds:.1f} s]", flush=True)
            if verdict.output:
                print(verdict.output, flush=True)
    finally:
        pool.shutdown(cancel_futures=True)
    print(f"{caught} of {len(chosen)} caught ({time.monotonic() - begun:.0f} s)")
    return 0 if chosen and caught == len(chosen) else 1


def unmutated(mutations: Sequence[Mutation], major: int) -> Run:
    """Run every test that is named, once, in a copy as it is; also look that the copy is what they import."""
    with Copy() as copy:
        strangers = [path for path in copy.imported() if not path.is_relative_to(copy.root)]
        if strangers:
            return Run(1, f"not of the copy: {', '.join(map(str, strangers))}")
        return copy.run(*sorted({mutation.caught_by for mutation in mutations}), major=major)


def tried(mutation: Mutation, major: int) -> Verdict:
    """Plant one mistake in a copy of its own and run its test."""
    begun = time.monotonic()
    with Copy() as copy:
        try:
            mutation.apply(copy.root)
        except MutationError as error:
            return Verdict(mutation, False, "misfit", time.monotonic() - begun, str(error))
        run = copy.run(mutation.caught_by, major=major)
    seconds = time.monotonic() - begun
    if run.failed:
        return Verdict(mutation, True, "caught", seconds)
    if run.passed:
        return Verdict(mutation, False, "SURVIVED", seconds)
    return Verdict(mutation, False, "BROKEN", seconds, "\n".join(run.output.splitlines()[-TAIL_LINES:]))


if __name__ == "__main__":
    sys.exit(main())
