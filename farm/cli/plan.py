"""`farm plan CONFIG`: what a reload would change on the farm that runs. Changes nothing."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from farm.config.changes import Change
    from farm.config.model import Config

EPILOG = """\
Prints a line for each change, and how it comes into force: at once, in new subworkers (which take the places of the old ones
between two jobs), or only with a restart; then the table of what all lanes may come to in memory. What may hold a secret (a
DSN, variables, options of runners) is never shown, only that it is another one. With no farm running it says what one would
start with. Exit code 2 if the file is wrong.

examples:
  farm plan farm.yaml
  farm plan farm.yaml --instance blue
  farm plan farm.yaml --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `farm plan`."""
    parser.epilog = EPILOG
    parser.add_argument("config", metavar="CONFIG", help="a configuration file, as `farm start` was given it")
    parser.add_argument("--instance", metavar="NAME", help="the farm to compare with (default: the one that host.name names)")
    parser.add_argument("--dsn", metavar="DSN", help="as `farm start` was given it")
    parser.add_argument("--lanes", metavar="LANES", help="as `farm start` was given them")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Compare, and print what differs."""
    from farm.config import Sources
    from farm.config.changes import How, changes, of_data, settings

    config = Sources(path=args.config, dsn=args.dsn, lanes=args.lanes).load()
    instance = args.instance or config.host.name
    answer = _ask(instance)
    made: list[Change] = []
    if answer is not None:
        made = changes(of_data(answer["settings"]), settings(config, key=bytes.fromhex(answer["key"])))
    refused = any(change.how is How.RESTART for change in made)
    if args.json:
        _print_json(instance, answer, made, refused, config)
    else:
        _print_text(instance, answer, made, refused, config)
    return 0


def _ask(instance: str) -> dict[str, Any] | None:
    """Return what the farm that runs as this instance goes by; None if none runs. Raises FarmError."""
    from farm.control import find
    from farm.home import farm_home

    connection = find(farm_home(), instance)
    if connection is None:
        return None
    with connection:
        return connection.ask("config")


def _print_text(instance: str, answer: dict[str, Any] | None, made: list[Change], refused: bool, config: Config) -> None:
    import os

    from farm.cli.plain import one_line
    from farm.config.budget import budget_of

    if answer is None:
        print(f"no farm runs as {instance!r}; it would start with:")
        for lane in config.lanes:
            print(f"  lane {lane.name}: {lane.capacity}, queues: {' > '.join(lane.queues)}")
    else:
        print(f"the farm {instance!r} would change:" if made else f"nothing would change for the farm {instance!r}")
        for change in made:
            print(f"  {one_line(str(change))}")
        if os.path.realpath(config.path) != os.path.realpath(answer["config"]):
            print(f"  but it was started with {one_line(answer['config'])}, and a reload reads that file")
        if config.database.source != "config" and any(change.path[0] == "database" for change in made):
            # What this command was given, or has in its environment, is not what the farm has.
            print("  but a reload keeps to the --dsn or FARM_DSN that the farm was started with: give this command the same")
        print(
            "a reload would be refused: it cannot change what needs a restart" if refused else "a reload replaces every subworker as well"
        )
    budget = budget_of(config)
    print(budget.headline)
    for row in budget.rows():
        print(f"  {row}")


def _print_json(instance: str, answer: dict[str, Any] | None, made: list[Change], refused: bool, config: Config) -> None:
    import json

    from farm.config.budget import budget_of

    plan = {
        "instance": instance,
        "running": answer is not None,
        "changes": [{"key": change.name, "how": str(change.how), "text": str(change)} for change in made],
        "refused": refused,
        "memory": budget_of(config).as_data(),
    }
    print(json.dumps(plan))
