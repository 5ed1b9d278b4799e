"""How soon a slot serves again after its job was ended at its deadline: from the deadline to the start of the job behind it.

One subworker; each round enqueues a job that runs past its timeout and one behind it. Deadlines are looked at every 25 ms, so half of
that on average, and all of it at worst, is before the kill is decided. What is deaf to TERM is killed half a second later, beside its
successor.
"""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path
from statistics import median

from bench.database import own_server
from bench.environment import environment
from bench.host import Host, config
from bench.report import Figure, print_report, print_table, spread
from farm.client import Client
from farm.errors import JobFailed

ROUNDS = 20
TIMEOUT_S = 0.5
LOOK_MS = 25
AFTER = "time:monotonic_ns"
TASKS = """
import os, signal, time

def note(path):
    with open(path, "w") as file:
        file.write(str(time.monotonic_ns()))

def sleep(path):
    note(path)
    time.sleep(3600)

def be_deaf(path):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note(path)
    while True:
        time.sleep(1)

def be_stopped(path):
    note(path)
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(3600)

async def be_awaited(path):
    import asyncio
    note(path)
    await asyncio.sleep(3600)
"""
KINDS = ("sleep", "be_deaf", "be_stopped", "be_awaited")


def main() -> None:
    """Run the measurement and print it."""
    print(f"\ntakeover: a job past its timeout, then one behind it, {ROUNDS} rounds each", flush=True)
    with own_server() as server, tempfile.TemporaryDirectory() as directory:
        found = environment(server.dsn)
        Path(directory, "stuck.py").write_text(TASKS)
        settings = config("embedded", allow="*:*", path=directory, subworkers="1")
        with Client(server.dsn) as client, Host(server.home, settings) as host:
            host.wait_ready()
            note = Path(directory, "started")
            gaps_ms = {kind: [_gap_ms(client, f"stuck:{kind}", note) for _ in range(ROUNDS)] for kind in KINDS}
    rows = [(kind, *(f"{ms:.1f}" for ms in spread(gaps).values())) for kind, gaps in gaps_ms.items()]
    print_table(("ms after the deadline", "median", "minimum", "maximum"), rows)
    figures = [
        Figure(name=f"deadline to next start, {kind}", value=median(gaps), unit="ms", must=50 + LOOK_MS, aim=LOOK_MS)
        for kind, gaps in gaps_ms.items()
    ]
    print_report("takeover", figures, environment=found, details={kind: spread(gaps) for kind, gaps in gaps_ms.items()})


def _gap_ms(client: Client, task: str, note: Path) -> float:
    """Return the time between the deadline of one job, which notes when it started, and the start of the next one."""
    note.unlink(missing_ok=True)
    stuck = client.enqueue(task, [str(note)], timeout_s=TIMEOUT_S, max_attempts=1)
    behind = client.enqueue(AFTER)
    with suppress(JobFailed):
        client.wait(stuck)
    started_ns: int = client.wait(behind)
    return (started_ns - int(note.read_text())) / 1e6 - 1000 * TIMEOUT_S


if __name__ == "__main__":
    main()
