"""The command `farm`: finds the command that is meant, runs it, and turns what a user can act on into one line and an exit code.

Exit codes: 0 done; 1 the answer is no (a check found something, there is no such job); 2 cannot be done as asked; 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn, Protocol

from farm import failpoints
from farm.errors import ConfigError, FarmError

COMMANDS = {
    "start": "run a farm on this host, in the foreground",
    "pause": "have lanes or queues start nothing more, on a farm that runs",
    "resume": "have what was paused go on",
    "plan": "show what a changed configuration would change on a farm that runs",
    "reload": "apply the changed configuration of a farm that runs",
    "drain": "have a farm end what runs, give the rest back, and leave",
    "stop": "the same as drain",
    "enqueue": "add a job, or many of the same kind",
    "jobs": "list jobs, the newest first",
    "job": "show one job with all of its attempts",
    "logs": "show what a job has printed, or follow it",
    "tail": "follow the ends of jobs as they are committed",
    "why": "say why a job has not started, or why it failed",
    "cancel": "cancel jobs: those that wait are final at once, those that run are ended",
    "move": "move waiting jobs to another queue",
    "set": "give waiting jobs another priority or another time",
    "replay": "run a job again here, outside of any farm, and compare",
    "retry": "try jobs again that have failed or were cancelled",
    "queues": "show each queue: how deep it is, which lanes take from it, where it is paused",
    "top": "watch and steer a farm on a live screen",
    "status": "show hosts, their lanes, and how deep the queues are",
    "migrate": "bring a database's schema up to date",
    "database": "copy everything from one database to another",
    "config": "check a configuration file, or print the schema of one",
    "doctor": "say what is wrong with this host and its database, or could be better",
    "prune": "remove old finished jobs, or say which ones would go",
    "check": "check that what is in the database makes sense",
    "completion": "print what completes commands and options in a shell",
    "demo": "see a farm at work on the Python files of this machine",
}

EPILOG = """\
which database: --dsn, else the configuration's, else $FARM_DSN, else an embedded PostgreSQL below $FARM_HOME

examples:
  farm demo
  farm start configs/quickstart.yaml
  farm enqueue farm.demo:sleep '{"seconds": 2}'
  farm jobs --state failed

farm COMMAND --help says more about each command.
"""


class Command(Protocol):
    """What a module of this package is for main: `add_arguments` fills the command's parser, `run` returns the exit code."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, args: argparse.Namespace) -> int: ...


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line (that of the process by default). Returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    open_standard_files()
    try:
        if failpoints.VARIABLE in os.environ:
            failpoints.check()
        code = _run(arguments)
        sys.stdout.flush()
        return code
    except ConfigError as error:
        return _say(str(error), 2)
    except FarmError as error:
        return _say(f"farm: {error}", 2)
    except UnicodeEncodeError as error:
        return _say(f"farm: expected text in UTF-8, got {ascii(error.object)[:80]}", 2)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read us (`| head`) has seen enough.
        _flush_nowhere()
        return 141
    except (OSError, MemoryError) as error:
        if os.environ.get("FARM_TRACEBACK"):
            raise
        _flush_nowhere()
        return _say(f"farm: cannot go on: {_of_the_system(error)}", 2)
    except Exception as error:
        if os.environ.get("FARM_TRACEBACK"):
            raise
        from farm.dsn import without_passwords

        text = without_passwords(" ".join(str(error).split()))
        return _say(f"farm: a mistake in farm itself: {type(error).__name__}: {text} (FARM_TRACEBACK=1 shows where)", 1)


def _run(arguments: list[str]) -> int:
    name = next((argument for argument in arguments if not argument.startswith("-")), None)
    if name is not None and name not in COMMANDS:
        from difflib import get_close_matches

        close = get_close_matches(name, COMMANDS, n=1)
        raise FarmError(f"there is no command {name!r}{f'; did you mean {close[0]!r}?' if close else ''} (farm --help lists them)")
    parser, subparsers = _parser()
    command: Command | None = None
    if name is not None:
        command = import_module(f"farm.cli.{name}")
        command.add_arguments(subparsers[name])
    args, unknown = parser.parse_known_args(arguments)
    if unknown:
        (subparsers[name] if name is not None else parser).refuse(unknown[0])
    if command is None:
        parser.print_help()
        return 2
    return command.run(args)


def every_parser() -> dict[str, argparse.ArgumentParser]:
    """Return the parsers of all commands, whole: imports all of them."""
    _, subparsers = _parser()
    for name, parser in subparsers.items():
        import_module(f"farm.cli.{name}").add_arguments(parser)
    return dict(subparsers)


def _parser() -> tuple[_Parser, dict[str, _Parser]]:
    parser = _Parser(
        prog="farm",
        description="Run very many small jobs on your own machines with nothing but PostgreSQL.",
        epilog=EPILOG,
        formatter_class=_CommandsHelp,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    group = parser.add_subparsers(title="commands", metavar="COMMAND")
    subparsers = {}
    for name, text in COMMANDS.items():
        subparsers[name] = group.add_parser(
            name, help=text, description=text[0].upper() + text[1:] + ".", formatter_class=argparse.RawDescriptionHelpFormatter
        )
    return parser, subparsers


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line; argparse itself puts the usage of every option in front of it."""

    def refuse(self, argument: str) -> NoReturn:
        """Say that there is no such argument, and which one may have been meant."""
        if not argument.startswith("-"):
            self.error(f"one argument too many: {argument!r}")
        from difflib import get_close_matches

        options = [option for action in self._actions for option in action.option_strings]
        close = get_close_matches(argument.partition("=")[0], options, n=1)
        self.error(f"there is no option {argument!r}{f'; did you mean {close[0]}?' if close else ''}")

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message} ({self.prog} --help says more)", file=sys.stderr)
        sys.exit(2)


class _CommandsHelp(argparse.RawDescriptionHelpFormatter):
    """Keeps each command and its text on one line: argparse does not count that commands are set in further than options."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog)
        self._action_max_length = max(map(len, COMMANDS)) + 2 * self._indent_increment


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from farm import __version__

        print(f"farm {__version__}")
        parser.exit()


def open_standard_files() -> None:
    """Have standard input, output and error lead somewhere, even where whoever started us closed them.

    The next file or connection would take the number of one that is closed, and be written into by whatever prints.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # Takes the lowest number that is free: this one.
    for name, number in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w", encoding="utf-8", closefd=False))  # noqa: SIM115


def _flush_nowhere() -> None:
    """Have what is still to be written to standard output go nowhere. Python would flush it at exit, and complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def _of_the_system(error: OSError | MemoryError) -> str:
    if isinstance(error, MemoryError):
        return "out of memory"
    where = f" ({error.filename})" if error.filename else ""
    return f"{error.strerror or ' '.join(str(error).split())}{where}"


def _say(text: str, code: int) -> int:
    try:
        print(text, file=sys.stderr)
    except OSError:
        pass  # Nobody can be told; the exit code tells.
    return code


if __name__ == "__main__":
    sys.exit(main())
