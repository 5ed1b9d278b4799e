"""What do answers cost on 5,000,000 jobs? `farm why`, `farm queues`, `farm status --fail-if` and the looks of `farm tail`.

A third of the jobs is ready, a third due later, a third has ended in the last ten minutes, in ten queues. Each question is asked through a
session that is open, so it is the time of its statements; and as a whole command, with the start of Python. Medians.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

from bench.database import Server, migrate, own_server, query
from bench.drain import analyze
from bench.environment import environment
from bench.report import Figure, print_report, print_table
from farm.store.circumstances import CircumstanceStore
from farm.store.reads import ReadStore
from farm.store.session import Session
from farm.store.tails import TailStore, Wanted

WAITING = 1_666_667
TIMES = 7
COMMAND_TIMES = 3


def main() -> None:
    """Run the measurement and print it."""
    with own_server() as server:
        found = environment(server.dsn)
        with server.database(jobs=0) as dsn:
            _fill(dsn)
            _measure(server, dsn, found)


def _fill(dsn: str) -> None:
    migrate(dsn)
    query(dsn, "fill_answers", {"waiting": WAITING})
    analyze(dsn)


def _measure(server: Server, dsn: str, found: dict[str, object]) -> None:
    last_ready = WAITING
    session = Session(dsn, application_name="bench answers", deadline_s=60.0)
    reads, whys, tail = ReadStore(session), CircumstanceStore(session), TailStore(session, Wanted())
    tail.begin()
    questions: dict[str, Callable[[], object]] = {
        "farm why, the last of a queue": lambda: whys.facts(last_ready),
        "farm queues": lambda: (reads.depths(), reads.hosts()),
        "farm status": reads.status,
        "  with failed>5%": reads.failed_share,
        "a look of farm tail, nothing new": tail.look,
    }
    rows = [(name, f"{1e3 * _median_s(ask, TIMES):.1f} ms") for name, ask in questions.items()]
    commands = {
        "farm why": ["why", str(last_ready)],
        "farm queues": ["queues"],
        "farm status --fail-if": ["status", "--fail-if", "oldest>1h, failed>50%", "--quiet"],
    }
    for name, arguments in commands.items():
        took_s = _median_s(lambda arguments=arguments: _run([*arguments, "--dsn", dsn]), COMMAND_TIMES)  # type: ignore[misc]
        rows.append((f"{name}, the whole command", f"{1e3 * took_s:.0f} ms"))
    session.close()
    print(f"\nanswers: on {3 * WAITING:,} jobs")
    print_table(("question", "median"), rows)
    slowest_ms = max(1e3 * _median_s(ask, TIMES) for ask in (lambda: whys.facts(last_ready), reads.depths))
    figure = Figure(name="statements of farm why and farm queues", value=slowest_ms, unit="ms", must=50, aim=10)
    print_report("answers", [figure], environment=found, details=dict(rows))


def _median_s(ask: Callable[[], object], times: int) -> float:
    took = []
    for _ in range(times):
        began = time.perf_counter()
        ask()
        took.append(time.perf_counter() - began)
    return median(took)


def _run(arguments: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", "farm.cli.main", *arguments], capture_output=True, check=False)
    if done.returncode not in (0, 1):
        raise RuntimeError(done.stderr.decode())


if __name__ == "__main__":
    main()
