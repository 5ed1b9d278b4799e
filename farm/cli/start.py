"""`farm start CONFIG`: runs a farm on this host until it is told to stop."""

from __future__ import annotations

import argparse
import os
import sys

from farm.errors import FarmError

EPILOG = """\
On a terminal the screen of `farm top` is in front, and the log goes to a file whose path it shows. q, or Ctrl-C, leaves the screen:
the farm goes on, and logs to the terminal; however the screen ends, it ends alone. --no-tui is without it.

SIGTERM or SIGINT (Ctrl-C) drains: no more jobs are claimed, running ones may end until drain_timeout, those that had not started
are given back unharmed, all results are committed, and farm leaves with exit code 0. A second signal hurries.
SIGHUP has it read its configuration again, as `farm reload`: `farm plan CONFIG` says what that would change.

--lanes, or FARM_LANES in the environment, names lanes in one line, for a file that names none. A lane is a chain of queues, the
first first, `*` for any other one, and behind a colon its number of subworkers, each of which runs one job at a time.

examples:
  farm start configs/quickstart.yaml
  farm start configs/quickstart.yaml --burst              run what is there, then leave
  farm start /etc/farm.yaml --log-format json
  farm start configs/one-line.yaml --lanes "fast:1 manual>*:4"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `farm start`."""
    parser.epilog = EPILOG
    parser.add_argument("config", metavar="CONFIG", help="a configuration file, such as configs/quickstart.yaml")
    parser.add_argument(
        "--burst",
        action="store_true",
        help="leave when nothing runnable is left; jobs that are due later or wait for a retry do not keep it",
    )
    screen = parser.add_mutually_exclusive_group()
    screen.add_argument("--tui", action="store_true", help="put the live screen in front (the default on a terminal)")
    screen.add_argument("--no-tui", action="store_true", help="log to the terminal")
    parser.add_argument("--log-format", choices=("text", "json"), default="text", help="how log lines look (default: text)")
    parser.add_argument("--dsn", metavar="DSN", help="the database, instead of the one that the configuration names")
    parser.add_argument("--lanes", metavar="LANES", help="lanes for a configuration that names none, such as 'fast:1 manual>*:4'")


def run(args: argparse.Namespace) -> int:
    """Load the configuration and run the farm."""
    from farm.cli.opening import differs_from_environment
    from farm.cli.platform import require_linux
    from farm.config import Sources
    from farm.dsn import describe_dsn

    require_linux("farm start")
    sources = Sources(path=args.config, dsn=args.dsn, lanes=args.lanes)
    config = sources.load()
    if (unused := os.environ.get("FARM_LANES", "").strip()) and config.lanes_source == "--lanes" and unused != args.lanes.strip():
        print("farm: FARM_LANES names other lanes; --lanes comes first", file=sys.stderr)
    if differs_from_environment(config.database):
        used = describe_dsn(config.database.dsn) if config.database.dsn else "the embedded PostgreSQL"
        print(f"farm: FARM_DSN names another database; {config.database.source} comes first: using {used}", file=sys.stderr)
    from farm.supervisor import boot

    return boot.start(config, load=sources.load, burst=args.burst, log_format=args.log_format, tui=_wants_screen(args))


def _wants_screen(args: argparse.Namespace) -> bool:
    """Tell whether the screen is to be in front: where it can be, and nobody reads the log there. Raises FarmError."""
    from farm.supervisor.views.front import can_be_in_front

    if args.tui and not can_be_in_front():
        raise FarmError("--tui needs a terminal: standard input, output and error, in the foreground, and TERM must say which kind it is")
    return bool(args.tui or (not (args.no_tui or args.burst or args.log_format == "json") and can_be_in_front()))
