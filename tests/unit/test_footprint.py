"""What processes hold, as /proc tells, asked again and again of the same ones."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from farm.supervisor.processes.footprint import Resident, resident_bytes


@contextmanager
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen([sys.executable, "-c", "print(end='.', flush=True); input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        child.stdout.read(1)
        yield child
    finally:
        child.kill()
        child.communicate()


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_as_much_as_is_said_at_a_single_look() -> None:
    with sleeper() as child:
        resident = Resident()
        assert resident.look([child.pid, child.pid]) == [resident_bytes(child.pid)] * 2
        assert resident.look([child.pid]) == [resident_bytes(child.pid)] != [0]
        resident.close()


def test_files_of_those_that_are_gone_are_closed() -> None:
    """Whether somebody still asks for them or not; and one that is gone holds nothing."""
    before, resident = open_files(), Resident()
    with sleeper() as child, sleeper() as other:
        resident.look([child.pid, other.pid])
        assert resident.look([other.pid]) != [0]
        pid = other.pid
    assert resident.look([pid]) == [0]
    assert open_files() == before


def test_a_number_that_another_process_has_got_is_looked_up_again() -> None:
    """The file that is open is that of a process, not of its number."""
    with sleeper() as old:
        resident = Resident()
        assert resident.look([old.pid]) != [0]
        with sleeper() as new:
            resident._files[new.pid] = resident._files.pop(old.pid)
            old.kill()
            old.wait()
            assert resident.look([new.pid]) == [resident_bytes(new.pid)] != [0]
        resident.close()
