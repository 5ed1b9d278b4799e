"""Reloads under load: valid and invalid ones at random, one after the other. No job may be lost, doubled or failed.

Every job leaves a line with its number when it starts; so what ran is known from the jobs themselves, not from the farm.
"""

from __future__ import annotations

import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from bench.database import own_server, query
from bench.environment import environment
from bench.host import Host, wait_for
from bench.report import Figure, print_report, print_table
from farm.client import Client
from farm.control import Connection, find
from farm.errors import FarmError

RELOADS = 100
SEED = 1
PAUSE_S_MAX = 0.3
"""Between two of them, drawn evenly: many come while an earlier one still replaces subworkers."""
BATCH, LOOK_S = 50, 0.02
AHEAD_MAX = 1000
"""Jobs that are enqueued and not started, at the most: always some, on a machine of any speed."""
WISH, ENOUGH = "200MB", "300MB"
"""What some jobs ask for, and a lane that may run them."""
QUEUES = ("a", "b", "c", "d")
TASKS = """
import os, time

def mark(path, number, seconds, spins):
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, b"%d\\n" % number)
    os.close(file)
    until = time.thread_time() + spins
    while time.thread_time() < until:
        pass
    time.sleep(seconds)
"""

Settings = dict[str, Any]


class Tally(NamedTuple):
    """What came of all jobs."""

    enqueued: int
    lost: int
    doubled: int
    failed: int


def main() -> None:
    """Run the measurement and print it."""
    print(f"\nreloads: {RELOADS} of them at random under load, seed {SEED}", flush=True)
    with own_server() as server, tempfile.TemporaryDirectory() as directory:
        found = environment(server.dsn)
        Path(directory, "marks.py").write_text(TASKS)
        settings = first_settings(directory)
        with Client(server.dsn) as client, Host(server.home, yaml.safe_dump(settings)) as host:
            host.wait_ready()
            load = Load(client, Path(directory, "effects"))
            load.start()
            applied, refused, slowest_s = reload_at_random(server.home, settings)
            load.stop()
            wait_for(lambda: query(server.dsn, "count_ended")[0][0] == load.enqueued, "the end of all jobs")
            tally = load.tally(failed=query(server.dsn, "count_failed")[0][0])
    kinds = sorted(applied | refused)
    print_table(("kind of reload", "applied", "refused"), [(kind, str(applied[kind]), str(refused[kind])) for kind in kinds])
    print(f"{tally.enqueued:,} jobs; the slowest answer to a reload took {slowest_s * 1000:.0f} ms")
    figures = [Figure(name=f"jobs {name}", value=getattr(tally, name), unit="", must=0, aim=0) for name in ("lost", "doubled", "failed")]
    details = {"applied": applied, "refused": refused, "jobs": tally.enqueued, "slowest_s": slowest_s, "seed": SEED}
    print_report("reloads", figures, environment=found, details=details)


class Load:
    """Enqueues batches of short jobs, waits and some spins among them, until it is stopped."""

    def __init__(self, client: Client, effects: Path) -> None:
        self.enqueued = 0
        self._client = client
        self._effects = effects
        self._draw = random.Random(SEED)
        self._lines = self._read_bytes = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Enqueue no more."""
        self._stopping.set()
        self._thread.join()

    def tally(self, *, failed: int) -> Tally:
        """Compare what the jobs have left behind with what was enqueued."""
        marks = Counter(map(int, self._effects.read_text().split()))
        lost = sum(number not in marks for number in range(self.enqueued))
        return Tally(self.enqueued, lost, sum(marks.values()) - len(marks), failed)

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_S):
            if self.enqueued - self._started() >= AHEAD_MAX:
                continue
            jobs = [self._job(self.enqueued + number) for number in range(BATCH)]
            self._client.enqueue_many(jobs)
            self.enqueued += BATCH

    def _started(self) -> int:
        """Count the lines that jobs have left."""
        if self._effects.exists():
            with self._effects.open("rb") as file:
                file.seek(self._read_bytes)
                new = file.read()
            self._read_bytes += len(new)
            self._lines += new.count(b"\n")
        return self._lines

    def _job(self, number: int) -> Settings:
        seconds = self._draw.choice((0.0, 0.0, 0.001, 0.001, 0.005, 0.3 if number % 20 == 0 else 0.0))
        spins = 0.003 if number % 5 == 0 else 0.0
        wishes = {"memory": WISH} if number % 7 == 0 else {}
        args = [str(self._effects), number, seconds, spins]
        return {"task": "marks:mark", "args": args, "queue": self._draw.choice(QUEUES), **wishes}


def reload_at_random(home: Path, settings: Settings) -> tuple[Counter[str], Counter[str], float]:
    """Change the file and reload, again and again; returns what was applied and refused, by kind, and the longest time that one took."""
    draw = random.Random(SEED)
    file = home.with_name("farm.yaml")
    connection = find(home, "default")
    assert connection is not None
    applied: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    slowest_s = 0.0
    with connection:
        for _ in range(RELOADS):
            kind = draw.choice(list(KINDS))
            text = KINDS[kind](settings, draw)
            file.write_text(text)
            begun = time.monotonic()
            (applied if _reload(connection) else refused)[kind] += 1
            slowest_s = max(slowest_s, time.monotonic() - begun)
            time.sleep(draw.uniform(0.0, PAUSE_S_MAX))
    return applied, refused, slowest_s


def _reload(connection: Connection) -> bool:
    try:
        connection.ask("reload")
    except FarmError:
        return False
    return True


def first_settings(directory: str) -> Settings:
    """Return a configuration whose lane `rest` takes whatever others leave."""
    return {
        "database": "embedded",
        "runners": {"python": {"allow": ["marks:*"], "path": [directory]}},
        "lanes": {"rest": {"queues": ["*"], "subworkers": 2, "memory": ENOUGH}},
    }


_numbers = count(1)


def _add_lane(settings: Settings, draw: random.Random) -> None:
    chain = draw.sample(QUEUES, draw.randint(1, 3)) + ["*"] * draw.randint(0, 1)
    settings["lanes"][f"lane{next(_numbers)}"] = {"queues": chain, "subworkers": draw.randint(1, 2), "memory": "90MB"}
    if len(settings["lanes"]) > 4:
        _remove_lane(settings, draw)


def _remove_lane(settings: Settings, draw: random.Random) -> None:
    if others := [name for name in settings["lanes"] if name != "rest"]:
        del settings["lanes"][draw.choice(others)]


def _change_lane(settings: Settings, draw: random.Random) -> None:
    lane = settings["lanes"][draw.choice(list(settings["lanes"]))]
    key, value = draw.choice(
        (
            ("subworkers", draw.randint(1, 3)),
            ("concurrency", draw.choice((1, 8))),
            ("memory", draw.choice(("80MB", WISH, ENOUGH))),
            ("nice", draw.randint(0, 5)),
            ("env", {"SHIFT": str(draw.random())}),
            ("timeout", draw.choice(("30s", "5m"))),
        )
    )
    lane[key] = value
    # Jobs that have asked for memory need a lane that allows it; others may come to have less.
    settings["lanes"]["rest"]["memory"] = ENOUGH


def _change_others(settings: Settings, draw: random.Random) -> None:
    settings["runners"]["python"]["allow"] = ["marks:*", f"never:x{next(_numbers)}"]
    settings["tasks"] = {"marks:*": {"retry": f"{draw.randint(1, 9)}s"}}


def _change_writer(settings: Settings, draw: random.Random) -> None:
    settings["writer"] = {"batch_max": draw.choice((1, 100, 4000)), "age_max": f"{draw.randint(1, 100)}ms"}
    settings["claim_max"] = draw.choice((50, 4000))
    settings["drain_timeout"] = f"{draw.randint(10, 30)}s"


def _nothing(_settings: Settings, _draw: random.Random) -> None:
    pass


def _valid(change: Callable[[Settings, random.Random], None]) -> Callable[[Settings, random.Random], str]:
    def written(settings: Settings, draw: random.Random) -> str:
        change(settings, draw)
        return yaml.safe_dump(settings, sort_keys=False)

    return written


def _with(**more: Any) -> Callable[[Settings, random.Random], str]:
    return lambda settings, _draw: yaml.safe_dump({**settings, **more}, sort_keys=False)


def _cut(settings: Settings, draw: random.Random) -> str:
    return yaml.safe_dump(settings, sort_keys=False)[: draw.randint(0, 60)] + "{"


KINDS: dict[str, Callable[[Settings, random.Random], str]] = {
    "a lane more": _valid(_add_lane),
    "a lane less": _valid(_remove_lane),
    "a lane changed": _valid(_change_lane),
    "runners and tasks": _valid(_change_others),
    "writer and claims": _valid(_change_writer),
    "nothing changed": _valid(_nothing),
    "cut off YAML": _cut,
    "an unknown key": _with(lease_time="10s"),
    "too much memory": _with(lanes={"rest": {"queues": ["*"], "subworkers": 2, "memory": "100TB"}}),
    "needs a restart": _with(heartbeat="900ms"),
}
"""Each changes the settings, or not, and returns the text of a file."""


if __name__ == "__main__":
    main()
