"""The zygote: a single-threaded process that imported everything once and forks ready subworkers from it.

It is executed afresh, with an environment from an allow-list: a fork of a process that saw the database's password would
keep it in its memory and its /proc/self/environ. It forks twice and lets the middle process end, so that the subworker
becomes a child of the supervisor, which is the subreaper; it dies with the supervisor.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from importlib import import_module

import orjson

import runners
from farm import linux
from farm.failpoints import passing
from farm.subworker import order
from farm.subworker.process import run_subworker

CONTROL_FD, CREW_LOCK_FD = 3, 4
"""The descriptors that a zygote is born with, besides 0 to 2: control socket, the crew's lock."""
ADOPTION_S = 5.0
NOBODY = -1


def main() -> None:
    """Serve fork orders until the control socket is closed.

    Arguments: the supervisor's pid, how many jobs its subworkers run at once at the most, the names of runners to import.
    """
    control = socket.socket(fileno=CONTROL_FD)
    for descriptor in (CONTROL_FD, CREW_LOCK_FD):
        # Forks keep them, programs that jobs execute do not: a stray one must not hold the crew's lock.
        os.set_inheritable(descriptor, False)
    supervisor_pid = int(sys.argv[1])
    linux.name_process("farm zygote")
    linux.signal_at_parent_death(signal.SIGKILL)
    if os.getppid() != supervisor_pid:
        return
    # The kernel ends subworkers before the supervisor when memory runs out; raising the value needs no privilege.
    linux.set_oom_score(linux.OOM_SCORE_OF_JOBS)
    # A shell signals whole process groups: whether the farm goes is for the supervisor to say, and it drains first.
    for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(stop, signal.SIG_IGN)
    if int(sys.argv[2]) > 1:
        import_module("farm.subworker.concurrent")
    for name in sys.argv[3:]:
        runners.load(name)
    gc.collect()
    gc.freeze()
    while (received := order.receive(control)) is not None:
        _fork(control, supervisor_pid, *received)


def _fork(control: socket.socket, supervisor_pid: int, fork_order: order.ForkOrder, descriptors: order.Descriptors) -> None:
    passing("zygote.before_fork")
    try:
        middle = os.fork()
    except OSError as error:
        _tell_not_born(control, fork_order, error)
        middle = NOBODY
    if middle:
        for descriptor in descriptors.as_list():
            os.close(descriptor)
        if middle != NOBODY:
            os.waitpid(middle, 0)
        return
    try:
        if os.fork():
            os._exit(0)
    except OSError as error:
        _tell_not_born(control, fork_order, error)
        os._exit(0)
    try:
        _be_born(control, supervisor_pid, fork_order)
        run_subworker(fork_order, descriptors)
    except BaseException:
        with suppress(Exception):
            sys.excepthook(*sys.exc_info())
    finally:
        os._exit(70)


def _tell_not_born(control: socket.socket, fork_order: order.ForkOrder, error: OSError) -> None:
    """Say that there can be no more processes now: pids are limited, or memory is short. The supervisor orders it again later."""
    with suppress(OSError):
        control.send(orjson.dumps({"name": fork_order.name, "pid": 0, "error": error.strerror or str(error)}))


def _be_born(control: socket.socket, supervisor_pid: int, fork_order: order.ForkOrder) -> None:
    """Wait to be the supervisor's child, then tell it our pid: it can only wait for a child that is its own."""
    deadline = time.monotonic() + ADOPTION_S
    while os.getppid() != supervisor_pid:
        if time.monotonic() > deadline:
            os._exit(71)
        time.sleep(0.0001)
    os.setpgid(0, 0)
    passing("subworker.before_birth")
    try:
        control.send(orjson.dumps({"name": fork_order.name, "pid": os.getpid()}))
    except ConnectionError:
        # The zygote was killed meanwhile, and the supervisor expects nobody any more.
        os._exit(72)
    control.close()


if __name__ == "__main__":
    main()
