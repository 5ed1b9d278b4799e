"""A forked child that runs one function until it returns or is killed."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Self

from farm.linux import signal_at_parent_death


class Child:
    """Forks at once. Leaving its `with` block kills it, whatever happened."""

    def __init__(self, program: Callable[[], None]) -> None:
        self._status: int | None = None
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            self._run(program, parent)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.kill()

    @property
    def alive(self) -> bool:
        """Tell whether it still runs; a complaint of its own is not to be overheard."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._status = status if pid else None
        assert self._status in (None, 0, signal.SIGKILL), "the child ended by itself, its trace stands above"
        return self._status is None

    def kill(self) -> None:
        """Kill it and wait until it is gone. Nothing to do if it is gone already."""
        if self._status is None:
            os.kill(self.pid, signal.SIGKILL)
            self._status = os.waitpid(self.pid, 0)[1]

    def _run(self, program: Callable[[], None], parent: int) -> None:
        code = 1
        try:
            signal_at_parent_death(signal.SIGKILL)
            if os.getppid() == parent:
                program()
            code = 0
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(code)
