"""Jobs that want more memory than they may have, each in another way, and one that does not. Only subworkers import this."""

from __future__ import annotations

import mmap
import os
import time
from typing import Any

MB = 1_000_000
PAGE = 4096
GIB_2 = 2 << 30
FOR_GOOD: list[bytes] = []
"""What a leak leaves behind, also when its job has ended."""


def work(ms: float) -> int:
    """Do what most jobs do: use some memory, and give it back."""
    held = bytes(200_000)
    time.sleep(ms / 1000)
    return len(held)


def leave_file(path: str, megabytes: int) -> None:
    """Leave a file where files are memory."""
    with open(path, "wb") as file:
        for _ in range(megabytes):
            file.write(b"x" * MB)


def hold(megabytes: int) -> int:
    """Use so much for a moment."""
    return len(bytearray(b"x") * (megabytes * MB))


def leak() -> None:
    """Take a megabyte after the other, and keep it."""
    while True:
        FOR_GOOD.append(b"x" * MB)


def at_once() -> int:
    """Take 2 GiB in one piece."""
    return len(bytearray(b"x") * GIB_2)


def by_numpy() -> Any:
    """Take 2 GiB as an array, as far as there is numpy."""
    try:
        import numpy
    except ImportError:
        return at_once()
    return int(numpy.ones(GIB_2 // 8)[0])


def in_children(children: int, megabytes: int) -> None:
    """Have forked children take so much each, none of them too much for itself, and wait for them."""
    pids = []
    for _ in range(children):
        pid = os.fork()
        if not pid:
            held = b"x" * (megabytes * MB)
            time.sleep(3600)
            os._exit(len(held) % 2)
        pids.append(pid)
    for pid in pids:
        os.waitpid(pid, 0)


def in_shared_map() -> None:
    """Touch 2 GiB of memory that no limit of one process counts."""
    with mmap.mmap(-1, GIB_2) as held:
        for at in range(0, GIB_2, PAGE):
            held[at] = 1
        time.sleep(3600)
