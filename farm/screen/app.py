"""The program of the screen: waits for keys, news and signals, and draws. It touches the terminal; all it knows of the farm are snapshots.

What came to an end is told by its exit code: 0, or 128 and the number of the signal that asked us to leave.
"""

from __future__ import annotations

import os
import select
import signal
import time
from dataclasses import replace
from queue import Empty

from farm.screen.draw import draw
from farm.screen.glyphs import Glyphs
from farm.screen.keys import Keys
from farm.screen.lists import in_view
from farm.screen.looker import Looker, News
from farm.screen.model import Snapshot, Source
from farm.screen.press import press
from farm.screen.state import Action, Do, View
from farm.screen.styles import Encoder, Palette
from farm.screen.terminal import Screen, TerminalGone

ESCAPE_S = 0.05
"""A sequence that a key sends comes at once: what stands alone for so long is the escape key."""
SAID_S = 6.0
"""How long an answer stands in the footer."""
SILENT_S = 2.0
"""After so long without news the screen says that what it shows is old."""
LOOK_AGAIN_S = 2.0
"""So often the page of a job is looked up again while it is open and the job has not ended: one row, by its id."""
ENDED = ("succeeded", "failed", "cancelled")
QUITTING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def run(source: Source, *, tty_file: int, interval_s: float, glyphs: Glyphs, palette: Palette) -> int:
    """Show the farm until somebody leaves. Returns an exit code. Raises FarmError if there is nothing to see at all.

    The source is closed at the end.
    """
    looker = Looker(source, interval_s)
    try:
        # In front of the screen, so that its error is an ordinary line.
        first = source.look()
        with Screen(tty_file) as screen:
            looker.start()
            return App(screen, looker, first, glyphs, palette).run()
    except TerminalGone:
        # Nobody sees us any more, and the farm goes on.
        return 128 + signal.SIGHUP
    finally:
        looker.close()


class App:
    """One screen on one terminal."""

    def __init__(self, screen: Screen, looker: Looker, first: Snapshot, glyphs: Glyphs, palette: Palette) -> None:
        self._screen = screen
        self._looker = looker
        self._glyphs = glyphs
        self._encoder = Encoder(palette)
        self._snapshot = first
        self._view = View()
        self._keys = Keys()
        self._heard = self._said = time.monotonic()
        self._code: int | None = None
        self._drawn = False
        self._looking_up, self._looked_up = False, 0.0

    def run(self) -> int:
        """Draw and wait, until a key or a signal ends it. Returns an exit code. Raises TerminalGone."""
        while self._code is None:
            if not self._drawn:
                self._drawn = self._screen.show(self._rows())
            self._wait()
        return self._code

    def _rows(self) -> list[str]:
        width, height = self._screen.size()
        self._looker.seen = in_view(self._snapshot, self._view, height)
        return self._encoder.encode(draw(self._snapshot, width, height, self._view, self._glyphs))

    def _wait(self) -> None:
        """Wait for the first thing to happen, and take it in."""
        screen, looker = self._screen, self._looker
        writable = [screen.file] if screen.busy else []
        readable, written, _ = select.select([screen.file, screen.wakeup, looker.wakeup], writable, [], self._patience_s())
        if written:
            screen.push()
        if screen.wakeup in readable:
            os.read(screen.wakeup, 4096)
            self._heed_signals()
        if looker.wakeup in readable:
            os.read(looker.wakeup, 4096)
            self._read_news()
        if screen.file in readable:
            for key in self._keys.feed(screen.read()):
                self._press(key)
        elif self._keys.pending and not readable:
            for key in self._keys.flush():
                self._press(key)
        self._grow_old()

    def _patience_s(self) -> float:
        if self._keys.pending:
            return ESCAPE_S
        return 1.0

    def _press(self, key: str) -> None:
        if self._code is not None:
            return
        self._drawn = False
        if key == "redraw":
            self._screen.clear()
            return
        self._view, action = press(self._view, key, self._snapshot)
        self._looker.freeze(self._view.frozen)
        if action is None:
            return
        if action.do is Do.QUIT:
            self._code = 0
        else:
            self._looker.ask(action)

    def _heed_signals(self) -> None:
        screen = self._screen
        while screen.signals:
            number = screen.signals.pop(0)
            if number in QUITTING:
                self._code = 0 if number == signal.SIGINT else 128 + number
            elif number == signal.SIGTSTP:
                screen.suspend()
            elif number == signal.SIGCONT:
                screen.resume()
            else:
                screen.clear()
            self._drawn = False

    def _read_news(self) -> None:
        while True:
            try:
                self._take(self._looker.news.get_nowait())
            except Empty:
                return

    def _take(self, news: News) -> None:
        now = time.monotonic()
        self._drawn = False
        if news.broken is not None:
            raise news.broken
        if news.snapshot is not None:
            self._heard = now
            if not self._view.frozen:
                self._snapshot = news.snapshot
            self._look_up_again(now)
        if news.page is not None and self._view.opened and self._view.opened[-1].key == news.page.job_id:
            self._view = replace(self._view, page=news.page)
        if news.said is not None:
            self._said = now
            self._view = replace(self._view, said=news.said)
        if news.action is not None and news.action.do is Do.OPEN:
            self._looking_up = False
        elif news.action is not None and self._view.opened and self._view.opened[-1].key == news.action.job_id:
            # Its page is to show what became of it.
            self._looker.ask(Action(Do.OPEN, job_id=news.action.job_id))

    def _look_up_again(self, now: float) -> None:
        """Have the page of a job follow it."""
        view = self._view
        if self._looking_up or now - self._looked_up < LOOK_AGAIN_S or not view.opened or view.opened[-1].kind is not None:
            return
        if view.page is not None and view.page.job is not None and view.page.job.get("state") not in ENDED:
            self._looking_up, self._looked_up = True, now
            self._looker.ask(Action(Do.OPEN, job_id=view.page.job_id))

    def _grow_old(self) -> None:
        """Let answers go after a while, and say how old the picture is if nothing comes."""
        now = time.monotonic()
        silent_s = now - self._heard
        shown_s = int(silent_s) if silent_s >= SILENT_S and not self._view.frozen else 0
        if shown_s != self._view.silent_s:
            self._view = replace(self._view, silent_s=shown_s)
            self._drawn = False
        if self._view.said is not None and now - self._said >= SAID_S:
            self._view = replace(self._view, said=None)
            self._drawn = False
