"""`farm drain`: has a running farm leave in order, and waits until it has."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from farm.cli.plain import as_json
from farm.units import counted

if TYPE_CHECKING:
    from farm.cli.target import Others
    from farm.control import Gone

EPILOG = """\
Nothing more is claimed; running jobs may end until drain_timeout; those that had not started are given back unharmed; all
results are committed; then the farm leaves. So do SIGTERM and Ctrl-C. The command waits for that, and its exit code is the
farm's; Ctrl-C ends only the waiting. Asked again, the farm goes on with it.

examples:
  farm drain
  farm drain --hurry                   end running jobs now: they have used an attempt
  farm stop --no-wait
  farm drain --host worker-3
"""

LOOK_S = 0.25
TOLD_EVERY_S = 5.0
PATIENCE_S = 3600.0
"""While it closes its connections and its children leave, a farm answers nothing."""
LEAVE_S = 20.0
"""What a host may take to leave after its running jobs have had their time."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `farm drain`."""
    from farm.cli.target import add_target_arguments

    parser.epilog = EPILOG
    parser.add_argument("--hurry", action="store_true", help="end running jobs now, as a second SIGTERM does")
    parser.add_argument("--no-wait", action="store_true", help="do not wait until it has left")
    add_target_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Tell the farm, and wait until it has left. Returns its exit code."""
    from farm.cli.target import elsewhere, here, is_elsewhere, print_said, told
    from farm.control import Gone

    if is_elsewhere(args):
        with elsewhere(args) as others:
            return _drain_hosts(others, args)
    progress = Progress()
    with here(args) as farm:
        answer: Mapping[str, Any] = {"ok": True}
        try:
            answer = farm.ask("drain", wait_s=args.timeout, hurry=args.hurry)
            if not args.json:
                print_said(answer)
                sys.stdout.flush()
            while not args.no_wait:
                progress.show(_told(farm.ask("status", wait_s=PATIENCE_S)))
                time.sleep(LOOK_S)
        except Gone as gone:
            # Perhaps before it was asked: it was draining already, or was killed.
            progress.end()
            # Its last word comes before its locks are free: a start that follows is to find them so.
            farm.wait_gone(PATIENCE_S)
            if args.json:
                print(as_json([{**told(None, farm.instance, answer), "left": True, "exit_code": gone.code}]))
                return 1 if gone.code is None else gone.code
            return _say_gone(gone)
        if args.json:
            print(as_json([{**told(None, farm.instance, answer), "left": False, "exit_code": None}]))
    return 0


def _drain_hosts(others: Others, args: argparse.Namespace) -> int:
    answers = others.ask("drain", {"hurry": args.hurry})
    code = others.code_of(answers)
    if not args.json:
        others.print_answers(answers)
    draining = [host_id for host_id, answer in answers.items() if answer.get("ok") is True]
    left = set() if args.no_wait else _await_hosts(others, draining, answers, quiet=args.json)
    if args.json:
        print(as_json([{**entry, "left": entry["host"] in left, "exit_code": None} for entry in others.told(answers)]))
    return code if args.no_wait else max(code, 0 if len(left) == len(draining) else 1)


def _say_gone(gone: Gone) -> int:
    if gone.code is None:
        print(f"farm: {gone}: what became of its jobs stands in its log", file=sys.stderr)
        return 1
    print("left" if gone.code == 0 else f"left with exit code {gone.code}: see its log")
    return gone.code


def _await_hosts(others: Others, host_ids: list[int], answers: Mapping[int, Mapping[str, Any]], *, quiet: bool) -> set[int]:
    """Wait until hosts have left, or have had the time for it; returns those that have left."""
    from farm.cli.target import wait_until

    progress = Progress()
    there = set(host_ids)

    def gone() -> bool:
        living = {host.id: host for host in others.store.hosts() if host.live}
        for host_id in sorted(there - living.keys()):
            progress.end()
            if not quiet:
                print(f"host {host_id}: left", flush=True)
            there.discard(host_id)
        if there:
            running = sum(living[host_id].running for host_id in there)
            progress.show(f"{counted(len(there), 'host')} still there; {counted(running, 'job')} running")
        return not there

    wait_s = max((float(answers[host_id].get("left_s", 0.0)) for host_id in host_ids), default=0.0) + LEAVE_S
    wait_until(gone, wait_s)
    progress.end()
    for host_id in sorted(there) if not quiet else ():
        print(f"host {host_id}: still there; see its log")
    return set(host_ids) - there


def _told(status: Mapping[str, Any]) -> str:
    running = status["running"]
    jobs = f"{counted(running, 'job')} still {'runs' if running == 1 else 'run'}" if running else "committing what has ended"
    return f"{jobs}; {status['left_s'] or 0:.0f} s left"


class Progress:
    """One line on standard error: written over on a terminal, else said now and then."""

    def __init__(self) -> None:
        self._on_terminal = sys.stderr.isatty()
        self._shown = ""
        self._told_at = time.monotonic()

    def show(self, line: str) -> None:
        """Show how it stands now."""
        if self._on_terminal:
            print(f"\r{line:<{len(self._shown)}}", end="", file=sys.stderr, flush=True)
            self._shown = line
        elif time.monotonic() - self._told_at >= TOLD_EVERY_S:
            print(line, file=sys.stderr, flush=True)
            self._told_at = time.monotonic()

    def end(self) -> None:
        """Take the line away; may be called again."""
        if self._shown:
            print(f"\r{'':<{len(self._shown)}}\r", end="", file=sys.stderr, flush=True)
            self._shown = ""
