"""`python -m bench.pictures [DIRECTORY]`: the pictures of the live screen for README and docs, from a farm that really runs.

A shop's farm of its own works for half a minute; then three things go wrong at once: a slow task takes all slots of a lane, a job wants
more and more memory, and somebody leaves a transaction open. Each moment is one SVG, and the page of a failed job another one, as rich
draws them; each is printed as text as well. It is also said how long each trouble took until the screen told of it.
"""

from __future__ import annotations

import io
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console
from rich.segment import Segments
from rich.terminal_theme import MONOKAI

from bench.database import Server, own_server
from bench.host import Host
from farm.cli.topsource import open_source
from farm.client import Client
from farm.screen.draw import draw
from farm.screen.glyphs import UNICODE
from farm.screen.model import Snapshot, Source
from farm.screen.press import press
from farm.screen.state import Action, Do, JobPage, View
from farm.screen.styles import Row, plain, segments
from farm.screen.troubles import HORIZON_S

WIDTH, HEIGHT = 120, 40
CALM_S = 45.0
TROUBLED_S_MAX = 30.0
LOOK_S = 0.25
DOCS = Path(__file__).parents[1] / "docs"
JOBS = Path(__file__).parent / "jobs"
CONFIG = f"""
database: embedded
host: {{name: shop}}
runners: {{python: {{allow: ["shop:*"], path: [{JOBS}]}}}}
lanes:
  thumbs: {{queues: [thumbs], subworkers: 2, memory: 128MB}}
  mail: {{queues: [mail], subworkers: 3, memory: 128MB}}
  reports: {{queues: [reports], subworkers: 2, memory: 256MB}}
  exports: {{queues: [exports], subworkers: 1, memory: 256MB}}
  legacy: {{queues: [old], subworkers: 1, memory: 128MB}}
tasks: {{"shop:send_mail": {{retry: 5s to 10m}}}}
"""
FONT = re.compile(r"\s*@font-face \{\{.*?\n\s*\}\}", re.DOTALL)
COMMENT = re.compile(r"\s*<!--.*?-->")
"""Pictures load nothing from elsewhere."""


def main() -> int:
    """Make the pictures."""
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(143))
    with own_server() as server, Host(server.home, CONFIG) as host:
        host.wait_ready()
        os.environ["FARM_HOME"] = str(server.home)
        with Client(server.dsn) as client, _attached() as source:
            _film(client, server, source, directory)
    return 0


def _film(client: Client, server: Server, source: Source, directory: Path) -> None:
    source.pause("legacy")
    shop = Shop(client)
    shop.open()
    _keep_looking(source, CALM_S, meanwhile=shop.trickle)
    seen = source.look()
    _save(directory / "screen", seen, View())
    _save(directory / "screen-80x24", seen, View(), width=80, height=24)
    view = View()
    for key in ("tab", "tab", "enter"):
        view, action = press(view, key, seen)
    assert action is not None
    _save(directory / "screen-job", seen, _looked_up(source, view, action))
    with psycopg.connect(server.dsn) as connection:
        connection.execute("SELECT pg_current_xact_id()")
        troubles = [
            Trouble("a transaction left open", "keeps all"),
            Trouble("a slow task", "shop:newsletter"),
            Trouble("a job's memory", "shop:export"),
        ]
        _keep_looking(source, HORIZON_S - 12.0, meanwhile=shop.trickle)
        troubles[1].begin(shop.send_newsletters)
        _keep_looking(source, 8.0, meanwhile=shop.trickle, until=troubles[1].is_told)
        # The last one, since a job that wants too much does not live for long.
        _keep_looking(source, 5.0, meanwhile=shop.trickle)
        troubles[2].begin(shop.export)
        # Each is looked for, whether or not the others are told of.
        seen = _keep_looking(
            source, TROUBLED_S_MAX, meanwhile=shop.trickle, until=lambda now: sum(one.is_told(now) for one in troubles) == 3
        )
        for trouble in troubles:
            print(trouble)
        _save(directory / "screen-troubles", seen, View())
        connection.rollback()


class Trouble:
    """Something that goes wrong, and when the screen says so: a notice has that word in it."""

    def __init__(self, name: str, word: str) -> None:
        self._name, self._word = name, word
        self._began = time.monotonic()
        self._told_s: float | None = None

    def begin(self, do: Callable[[], None]) -> None:
        do()
        self._began = time.monotonic()

    def is_told(self, seen: Snapshot) -> bool:
        """Look whether a notice tells of it now."""
        now = any(self._word in notice for notice in seen.notices)
        if now and self._told_s is None:
            self._told_s = time.monotonic() - self._began
        return now

    def __str__(self) -> str:
        return f"{self._name}: {'not told of' if self._told_s is None else f'told of after {self._told_s:.1f} s'}"


class Shop:
    """Its customers."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._number = 0

    def open(self) -> None:
        """File what a shop has to do for a while."""
        self._client.enqueue_many({"task": "shop:report", "args": [month, 12.0 + month], "queue": "reports"} for month in range(1, 13))
        self._client.enqueue_many({"task": "shop:resize", "args": [image], "queue": "old"} for image in range(17))

    def trickle(self) -> None:
        """File what comes in a quarter of a second."""
        numbers = range(self._number, self._number + 20)
        self._number += 20
        self._client.enqueue_many({"task": "shop:send_mail", "args": [number], "queue": "mail"} for number in numbers)
        images = 40 + 30 * (self._number // 200 % 2)
        self._client.enqueue_many({"task": "shop:resize", "args": [image], "queue": "thumbs"} for image in range(images))

    def send_newsletters(self) -> None:
        """File what takes all slots that mail may have, for long."""
        self._client.enqueue_many({"task": "shop:newsletter", "args": [600.0], "queue": "mail", "priority": 0} for _ in range(3))

    def export(self) -> None:
        """File what takes the memory of its process."""
        self._client.enqueue("shop:export", [40, 60.0], queue="exports", priority=0)


@contextmanager
def _attached() -> Any:
    source = open_source(instance="shop")
    try:
        yield source
    finally:
        source.close()


def _keep_looking(
    source: Source, seconds: float, *, meanwhile: Callable[[], None], until: Callable[[Snapshot], bool] = lambda _seen: False
) -> Snapshot:
    """Look as a screen does, for so long at the most. Returns what was seen last."""
    deadline = time.monotonic() + seconds
    while True:
        meanwhile()
        seen = source.look()
        if until(seen) or time.monotonic() > deadline:
            return seen
        time.sleep(LOOK_S)


def _looked_up(source: Source, view: View, action: Action) -> View:
    assert action.do is Do.OPEN
    job = source.job(action.job_id)
    for attempt in job["attempts"]:
        # Where this clone stands is nobody's business.
        if isinstance(attempt["error"], dict) and "traceback" in attempt["error"]:
            attempt["error"]["traceback"] = attempt["error"]["traceback"].replace(str(JOBS), "/srv/shop")
    return replace(view, page=JobPage(action.job_id, job=job))


def _save(path: Path, seen: Snapshot, view: View, *, width: int = WIDTH, height: int = HEIGHT) -> None:
    """Write a frame as SVG, and print it as text."""
    rows = draw(seen, width, height, view, UNICODE)
    path.with_suffix(".svg").write_text(picture(rows, width), encoding="utf-8")
    print(f"\n{path.with_suffix('.svg')}")
    for row in rows:
        print(plain(row).rstrip())


def picture(rows: list[Row], width: int) -> str:
    """Return rows as an SVG."""
    from rich._export_format import CONSOLE_SVG_FORMAT

    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(Segments(segments(rows)), end="")
    return console.export_svg(
        title="farm top", theme=MONOKAI, code_format=COMMENT.sub("", FONT.sub("", CONSOLE_SVG_FORMAT)), unique_id="farm"
    )


if __name__ == "__main__":
    sys.exit(main())
