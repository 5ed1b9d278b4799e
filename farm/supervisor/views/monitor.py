"""The pages of a farm for monitoring: /metrics, /healthz, /readyz. There from the first moment on, so that a start can be watched too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from farm.config.model import Metrics
from farm.metrics.health import Facts, Health, Standing, why_not_ready
from farm.metrics.server import Answer, Server
from farm.metrics.text import CONTENT_TYPE

STARTING = "the farm is starting"


class Monitor:
    """Owns the server; the farm behind it comes later."""

    def __init__(self, options: Metrics) -> None:
        """Listen from now on. Raises FarmError if that cannot be."""
        pages = {"/metrics": self._metrics, "/healthz": self._healthz, "/readyz": self._readyz}
        self._health = Health()
        self._facts: Callable[[], Facts] | None = None
        self._page: Callable[[Facts, Standing], Sequence[bytes]] | None = None
        self._server = Server(options.host, options.port, pages=pages, tick=self._look)
        self.url = self._server.url
        """Where it is reached."""
        self._server.start()

    def watch(self, facts: Callable[[], Facts], page: Callable[[Facts, Standing], Sequence[bytes]]) -> None:
        """Tell of this farm from now on; both are called in the thread of the server. page: makes that of /metrics."""
        self._page, self._facts = page, facts

    def close(self) -> None:
        """Answer nobody any more."""
        self._server.close()

    def _look(self) -> tuple[Facts | None, list[str]]:
        """Look, also when nobody asks: since when something stands still is known only to who looks all the time."""
        if self._facts is None:
            return None, []
        facts = self._facts()
        return facts, self._health.look(facts)

    def _metrics(self) -> Answer:
        facts, unhealthy = self._look()
        if facts is None or self._page is None:
            return _told(503, [STARTING])
        standing = Standing(ready=not why_not_ready(facts), healthy=not unhealthy, draining=facts.draining)
        return Answer(200, self._page(facts, standing), CONTENT_TYPE)

    def _healthz(self) -> Answer:
        facts, unhealthy = self._look()
        if unhealthy:
            return _told(503, unhealthy)
        if facts is None:
            return _told(200, [f"ok: {STARTING}"])
        if facts.away_since is not None:
            # No reason to start it anew: that would end what runs, and bring no database back.
            return _told(200, [f"ok: the database has been away for {facts.now - facts.away_since:.0f} s, and is waited for"])
        return _told(200, ["ok"])

    def _readyz(self) -> Answer:
        facts, _unhealthy = self._look()
        unready = [STARTING] if facts is None else why_not_ready(facts)
        return _told(503, unready) if unready else _told(200, ["ok"])


def open_monitor(options: Metrics | None, stack: ExitStack) -> Monitor | None:
    """Listen, if anybody is to be told anything, until the stack is unwound. Raises FarmError."""
    if options is None:
        return None
    monitor = Monitor(options)
    stack.callback(monitor.close)
    return monitor


def _told(status: int, lines: Sequence[str]) -> Answer:
    return Answer(status, ["".join(f"{line}\n" for line in lines).encode()])
