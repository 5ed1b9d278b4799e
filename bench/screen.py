"""What the live screen costs: a frame, the process of `farm top` at four looks a second, and the time until its first frame.

Frames are drawn from a farm that is only played, everything in it changing each time: rows made, styled, and compared with the last
ones, as many bytes written as a terminal gets. `farm top` runs on farms with 4, 60 and 300 subworkers, on a pseudo terminal of 120 x 40
cells that takes all it is given; its CPU time is that of its whole process: looking, drawing, writing. The 4 have jobs of 20 ms, the
others nothing to do, and then jobs that take seconds. The first frame is timed from before the command is executed to the last row of a
frame that shows the farm.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from types import TracebackType

from bench.database import Server, own_server
from bench.environment import environment
from bench.host import Host, config, wait_for
from bench.processes import cpu_used_ns
from bench.report import Figure, print_report, print_table
from farm.client import Client
from farm.control import connect
from farm.screen.draw import draw
from farm.screen.glyphs import UNICODE
from farm.screen.model import Snapshot
from farm.screen.state import Pane, View
from farm.screen.styles import Encoder, Palette
from farm.screen.terminal import END
from tests.screen.lively import snapshot

FRAMES = 200
SIZES = ((80, 24), (120, 40), (200, 60))
SLOTS = 1_000
WATCHED_S = 10.0
SETTLE_S = 2.0
STARTS = 7
JOB, JOB_S, JOBS = "farm.demo:sleep", 0.02, 4_000
LANES = '{fast: {queues: ["*"], subworkers: 2}, heavy: {queues: [heavy], subworkers: 2}}'
FEW = 4
CREWS = ((60, 1.0), (300, 5.0))
"""How many subworkers, and how long the jobs of those take that have some, in seconds."""
BARS = {60: (1.0, 0.5), 300: (3.0, 1.0)}
DRAWN = END.encode()
"""Behind the last row of each frame."""
QUIT = b"q"


def main() -> None:
    """Run the measurement and print it."""
    print(f"\nscreen: {FRAMES} frames of each kind, {WATCHED_S:.0f} s of farm top, {STARTS} starts", flush=True)
    frames = {f"{width} x {height}": _frame_ms(width, height, slots=0) for width, height in SIZES}
    frames[f"120 x 40, {SLOTS:,} slots"] = _frame_ms(120, 40, slots=SLOTS)
    print_table(("a frame", "ms of CPU"), [(name, f"{ms:.2f}") for name, ms in frames.items()])
    with own_server() as server, Host(server.home, config("embedded", lanes=LANES)) as host:
        found = environment(server.dsn)
        host.wait_ready()
        with Client(server.dsn) as client:
            client.enqueue_many({"task": JOB, "args": [JOB_S]} for _ in range(JOBS))
        share, written = _watch(server, FEW)
        starts = [_first_frame_s(server) for _ in range(STARTS)]
    crews = [(subworkers, job_s, *_watch_crew(subworkers, job_s)) for subworkers, job_s in CREWS]
    figures = [
        Figure(name="a frame of 120 x 40", value=frames["120 x 40"], unit="ms", must=2, aim=1),
        Figure(name=f"a frame with {SLOTS:,} slots", value=frames[f"120 x 40, {SLOTS:,} slots"], unit="ms", must=4, aim=2),
        Figure(name=f"farm top, 4 looks a second, {FEW} subworkers", value=share * 100, unit="% of a core", must=1, aim=0.5),
        *(figure for crew in crews for figure in _crew_figures(*crew)),
        Figure(name="farm top to its first frame", value=median(starts), unit="s", must=0.6, aim=0.4),
    ]
    details = {"frame_ms": frames, "bytes_a_second": written, "starts_s": starts}
    print_report("screen", figures, environment=found, details=details)


def _frame_ms(width: int, height: int, *, slots: int) -> float:
    """Return the CPU time of a frame, the best of three rounds."""
    palette = Palette(None)
    seen = [snapshot(step, slots=slots) for step in range(FRAMES)]
    view = View(pane=Pane.SUBWORKERS)
    return min(_round_ms(seen, width, height, view, palette) for _ in range(3))


def _round_ms(seen: Sequence[Snapshot], width: int, height: int, view: View, palette: Palette) -> float:
    shown: list[str] = []
    encoder = Encoder(palette)
    began_ns = time.process_time_ns()
    for one in seen:
        rows = encoder.encode(draw(one, width, height, view, UNICODE))
        "".join(row for row, old in zip(rows, shown or rows, strict=True) if row != old).encode()
        shown = rows
    return (time.process_time_ns() - began_ns) / 1e6 / len(seen)


def _watch_crew(subworkers: int, job_s: float) -> tuple[float, float]:
    """Return the share of a core that farm top takes while so many subworkers have nothing to do, and while each has a job."""
    lanes = f'{{fast: {{queues: ["*"], subworkers: {subworkers}}}}}'
    with own_server() as server, Host(server.home, config("embedded", lanes=lanes)) as host:
        host.wait_ready()
        idle, _written = _watch(server, subworkers)
        with Client(server.dsn) as client:
            client.enqueue_many({"task": JOB, "args": [job_s]} for _ in range(int(subworkers * 3 * WATCHED_S / job_s)))
        busy, _written = _watch(server, subworkers)
        with connect(server.home) as farm:
            # What has not started need not be run.
            farm.ask("drain", hurry=True)
        return idle, busy


def _crew_figures(subworkers: int, job_s: float, idle: float, busy: float) -> Iterator[Figure]:
    must, aim = BARS[subworkers]
    yield Figure(name=f"the same, {subworkers} idle ones", value=idle * 100, unit="% of a core", must=must, aim=aim)
    yield Figure(name=f"the same, {subworkers} with jobs of {job_s:g} s", value=busy * 100, unit="% of a core", must=must, aim=aim)


def _watch(server: Server, subworkers: int) -> tuple[float, float]:
    """Return the share of a core that farm top takes, and the bytes that it writes in a second."""
    with Top(server.home, subworkers) as top:
        wait_for(top.has_drawn, "the first frame")
        time.sleep(SETTLE_S)
        before, bytes_before, began = cpu_used_ns([top.pid])[top.pid], len(top.written), time.monotonic()
        time.sleep(WATCHED_S)
        used_ns = cpu_used_ns([top.pid])[top.pid] - before
        took_s = time.monotonic() - began
        return used_ns / 1e9 / took_s, (len(top.written) - bytes_before) / took_s


def _first_frame_s(server: Server) -> float:
    with Top(server.home, FEW) as top:
        wait_for(top.has_drawn, "the first frame", every_s=0.001)
        return time.monotonic() - top.began


class Top:
    """`farm top` on a pseudo terminal; what it writes is read by a thread, as a terminal does."""

    def __init__(self, home: Path, subworkers: int) -> None:
        """subworkers: how many the farm has; once all serve, its frames say so."""
        self._home = home
        self._seen = f"{subworkers} of {subworkers} subworkers".encode()
        self.written = b""

    def __enter__(self) -> Top:
        self._terminal, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("4H", 40, 120, 0, 0))
        environ = {**os.environ, "FARM_HOME": str(self._home), "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        self.began = time.monotonic()
        self._process = subprocess.Popen(
            [str(Path(sys.executable).with_name("farm")), "top"],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            env=environ,
            start_new_session=True,
        )
        os.close(inner)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.write(self._terminal, QUIT)
        try:
            self._process.wait(10.0)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
        self._reader.join()
        os.close(self._terminal)

    @property
    def pid(self) -> int:
        return self._process.pid

    def has_drawn(self) -> bool:
        """Tell whether it has shown the farm."""
        return DRAWN in self.written.partition(self._seen)[2]

    def _read(self) -> None:
        while True:
            select.select([self._terminal], [], [])
            try:
                self.written += os.read(self._terminal, 65536)
            except OSError:
                return  # It has left.


if __name__ == "__main__":
    main()
