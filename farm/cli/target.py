"""Which farm a command speaks to: one on this host, through its socket, or others, through the database. Says what each has answered."""

from __future__ import annotations

import argparse
import getpass
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from farm.cli.plain import as_json, many_lines, one_line
from farm.errors import FarmError
from farm.spelling import did_you_mean
from farm.units import format_duration, parse_duration

if TYPE_CHECKING:
    from farm.control import Connection
    from farm.store.requests import KnownHost, RequestStore

TIMEOUT_S = 15.0
POLL_S_MIN, POLL_S_MAX = 0.02, 0.2

Answers = Mapping[int, Mapping[str, Any]]


def add_target_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --instance, --host, --all-hosts, --timeout, and --dsn and --config for what goes through a database."""
    from farm.cli.opening import add_database_arguments

    group = parser.add_argument_group("which farm", "without any of these: the one that runs on this machine, below FARM_HOME")
    group.add_argument("--instance", metavar="NAME", help="the one on this machine that runs under this name (host.name)")
    group.add_argument("--host", metavar="ID|NAME", dest="hosts", action="append", help="on another host, through the database; repeatable")
    group.add_argument("--all-hosts", action="store_true", help="on every host that lives, through the database")
    group.add_argument(
        "--timeout", metavar="TIME", type=_duration, default=TIMEOUT_S, help=f"how long to wait for answers (default: {TIMEOUT_S:g}s)"
    )
    help_text = "print a JSON array: for each farm that was asked `host`, `instance`, `ok` and what it has `said`, or `error`"
    parser.add_argument("--json", action="store_true", help=help_text)
    add_database_arguments(parser)


def is_elsewhere(args: argparse.Namespace) -> bool:
    """Tell whether hosts are to be asked through the database. Raises FarmError if the command line says both, or only half of it."""
    through_database = bool(args.hosts) or args.all_hosts
    if through_database and args.instance is not None:
        raise FarmError("expected either --instance, a farm on this machine, or --host or --all-hosts, through the database")
    if args.hosts and args.all_hosts:
        raise FarmError("expected either --host or --all-hosts")
    if not through_database and (args.dsn is not None or args.config is not None):
        raise FarmError("a farm on this machine is asked without a database: --dsn and --config need --host or --all-hosts")
    return through_database


def carry_out(args: argparse.Namespace, do: str, arguments: Mapping[str, Any]) -> int:
    """Have every farm that is meant do it, and print what each has said. Returns the exit code. Raises FarmError."""
    if not is_elsewhere(args):
        with here(args) as farm:
            answer = farm.ask(do, wait_s=args.timeout, **arguments)
            if args.json:
                print(as_json([told(None, farm.instance, answer)]))
            else:
                print_said(answer)
        return 0
    with elsewhere(args) as others:
        answers = others.ask(do, arguments)
        if args.json:
            print(as_json(others.told(answers)))
        else:
            others.print_answers(answers)
        return others.code_of(answers)


@contextmanager
def here(args: argparse.Namespace) -> Iterator[Connection]:
    """Connect to the farm on this machine that is meant. Raises FarmError."""
    from farm.cli.platform import require_linux
    from farm.control import connect
    from farm.home import farm_home

    require_linux("the control socket")
    with connect(farm_home(), args.instance) as connection:
        yield connection


@contextmanager
def elsewhere(args: argparse.Namespace) -> Iterator[Others]:
    """Open the database, and find the hosts that are meant. Raises FarmError."""
    from farm.cli.opening import announce, open_database, open_session
    from farm.store.requests import RequestStore

    with open_database(args) as database, open_session(database) as session:
        announce(database)
        store = RequestStore(session)
        yield Others(store, _chosen(store.hosts(), None if args.all_hosts else args.hosts), args.timeout)


@dataclass(frozen=True, slots=True)
class Others:
    """Hosts that are asked through the database."""

    store: RequestStore
    hosts: Mapping[int, KnownHost]
    timeout_s: float

    def ask(self, do: str, arguments: Mapping[str, Any]) -> Answers:
        """Ask all of them, and wait for the answers. What has not answered in time is taken back: nothing is done behind our back later."""
        asked = self.store.make(list(self.hosts), do, arguments, made_by=_who())
        answers: dict[int, Mapping[str, Any]] = {}

        def look() -> bool:
            for request_id, answer in self.store.answers([number for number in asked if asked[number] not in answers]).items():
                answers[asked[request_id]] = answer
            return len(answers) == len(asked)

        try:
            wait_until(look, self.timeout_s)
        finally:
            if len(answers) < len(asked):
                self.store.withdraw(list(asked))
                # One may have come at the last moment.
                look()
        return answers

    def told(self, answers: Answers) -> list[dict[str, Any]]:
        """Return what each host has said, for programs."""
        silence = {"error": f"no answer within {format_duration(self.timeout_s)}"}
        return [told(host_id, host.instance, answers.get(host_id, silence)) for host_id, host in self.hosts.items()]

    def code_of(self, answers: Answers) -> int:
        """Return the exit code: 0 if every host has done it."""
        return 0 if all(answers.get(host_id, {}).get("ok") is True for host_id in self.hosts) else 2

    def print_answers(self, answers: Answers) -> None:
        """Print what each host has said, or that it has said nothing."""
        for host_id, host in self.hosts.items():
            answer = answers.get(host_id)
            where = f"host {host_id} ({one_line(host.name)}, {one_line(host.instance)})"
            if answer is None:
                waited = f"no answer within {format_duration(self.timeout_s)}, so nothing is asked of it any more"
                print(f"{where}: {waited}; its last heartbeat was {format_duration(max(host.beat_age_s, 0.0))} before")
            for line in said(answer) if answer is not None else ():
                print(f"{where}: {line}")


def wait_until(condition: Callable[[], bool], wait_s: float) -> bool:
    """Look more and more seldom until it is so, for so long at the most; returns whether it is."""
    deadline, pause_s = time.monotonic() + wait_s, POLL_S_MIN
    while not (so := condition()) and time.monotonic() < deadline:
        time.sleep(min(pause_s, max(0.0, deadline - time.monotonic())))
        pause_s = min(POLL_S_MAX, 1.5 * pause_s)
    return so


def told(host_id: int | None, instance: str, answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer of one farm for programs; host_id None: the one on this machine, which was asked without a database."""
    refused = "error" in answer
    words = {"said": [], "error": str(answer["error"])} if refused else {"said": said(answer), "error": None}
    return {"host": host_id, "instance": instance, "ok": not refused and answer.get("ok") is True, **words}


def print_said(answer: Mapping[str, Any]) -> None:
    """Print the lines of an answer."""
    for line in said(answer):
        print(line)


def said(answer: Mapping[str, Any]) -> list[str]:
    """Return the lines of an answer, fit for a terminal; of one that refuses, why."""
    if "error" in answer:
        return many_lines(answer["error"])
    lines = answer.get("said", [])
    return [one_line(line) for line in lines] if isinstance(lines, list) else []


def _chosen(known: Sequence[KnownHost], names: Sequence[str] | None) -> dict[int, KnownHost]:
    """Return the hosts that are meant; names: ids or names, None for every one that lives. Raises FarmError."""
    living = [host for host in known if host.live]
    if names is None:
        if not living:
            raise FarmError("no host lives: there is nobody to ask")
        return {host.id: host for host in living}
    chosen: dict[int, KnownHost] = {}
    for name in names:
        host = _find(known, living, name)
        chosen[host.id] = host
    return chosen


def _find(known: Sequence[KnownHost], living: Sequence[KnownHost], name: str) -> KnownHost:
    if name.isdecimal():
        found = [host for host in known if host.id == int(name)]
        if found and not found[0].live:
            raise FarmError(f"host {name} ({one_line(found[0].name)}) has left, or was declared dead")
    else:
        found = [host for host in living if host.name == name] or [host for host in living if host.instance == name]
    if not found:
        close = did_you_mean(name, {host.name for host in living} | {host.instance for host in living})
        raise FarmError(f"no host {name!r} lives{close} (`farm status` lists them)")
    if len(found) > 1:
        several = ", ".join(f"{host.id} ({one_line(host.instance)})" for host in found)
        raise FarmError(f"{len(found)} farms run on {name!r}: {several}; say which by its number")
    return found[0]


def _who() -> str:
    """Say who asks, for the log of the farm that is asked."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"uid {os.getuid()}"
    return f"{user} on {platform.node()}"


def _duration(text: str) -> float:
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return seconds
