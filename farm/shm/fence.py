"""The full memory fence of pure Python: taking and giving back a lock that nobody else holds."""

from __future__ import annotations

import threading

_lock = threading.Lock()
# Bound once: two attribute look-ups fewer on the path of every job. Never held across a fork, so a child need not make its own.
fence_enter = _lock.acquire
fence_leave = _lock.release


def fence() -> None:
    """Order every store before this call ahead of every load after it, as other processes see them.

    Plain stores may still sit in the processor's store buffer while a later load is answered; two processes that each
    store a flag and then look at the other's would then miss each other. Taking a lock is an atomic read-modify-write,
    which empties that buffer. Hot paths call fence_enter() and fence_leave() in a row instead: the same without the frame.
    """
    fence_enter()
    fence_leave()
