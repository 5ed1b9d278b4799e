"""`farm config check FILE...`: everything that is wrong with a configuration, before anything starts. `farm config schema`: for editors."""

from __future__ import annotations

import argparse

from farm.config.budget import budget_of
from farm.config.model import Config
from farm.errors import ConfigError
from farm.units import format_size

EPILOG = """\
examples:
  farm config check configs/quickstart.yaml
  farm config schema > farm.schema.json
"""
CHECK_EPILOG = """\
Every problem is one line, `file:line:column: path: message`. Exit code 2 if there is any. Of a file that is right it says what
`auto` comes to on this machine, and what the jobs of all lanes may hold together.

examples:
  farm config check configs/quickstart.yaml
  farm config check /etc/farm/*.yaml
  farm config check configs/one-line.yaml --lanes "fast:1 manual>*:4"
"""
SCHEMA_EPILOG = """\
Editors complete keys and mark mistakes when the first line of a configuration names the file:
  # yaml-language-server: $schema=farm.schema.json

examples:
  farm config schema > farm.schema.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `farm config`."""
    parser.epilog = EPILOG
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True, dest="action")
    check = actions.add_parser(
        "check",
        help="say all that is wrong with a file",
        description="Say all that is wrong with a file.",
        epilog=CHECK_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check.add_argument("files", nargs="+", metavar="FILE", help="a configuration file")
    check.add_argument("--json", action="store_true", help="print a JSON array: of each file whether it is `ok`, and its `problems`")
    check.add_argument("--lanes", metavar="LANES", help="lanes for files that name none, as `farm start` takes them")
    actions.add_parser(
        "schema",
        help="print the JSON Schema of configurations",
        description="Print the JSON Schema (2020-12) of configurations.",
        epilog=SCHEMA_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def run(args: argparse.Namespace) -> int:
    """Check files, or print the schema."""
    if args.action == "schema":
        import json

        from farm.config.schema import json_schema

        print(json.dumps(json_schema(), indent=2))
        return 0
    return _check_json(args.files, args.lanes) if args.json else _check(args.files, args.lanes)


def _check(files: list[str], lanes: str | None) -> int:
    """Check the files; all of them, even if the first is wrong."""
    from farm.config import load

    problems: list[str] = []
    for file in files:
        try:
            print(_summary(load(file, lanes=lanes)))
        except ConfigError as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigError(problems)
    return 0


def _check_json(files: list[str], lanes: str | None) -> int:
    """Check the files, for programs."""
    from farm.cli.plain import as_json
    from farm.config import load

    told = []
    for file in files:
        problems: list[str] = []
        try:
            load(file, lanes=lanes)
        except ConfigError as error:
            problems = list(error.problems)
        told.append({"file": file, "ok": not problems, "problems": problems})
    print(as_json(told))
    return 2 if any(entry["problems"] for entry in told) else 0


def _summary(config: Config) -> str:
    """Say that a file is right, and what `auto` comes to on this machine."""
    lines = [f"{config.path}: ok"]
    lines.append(f"  instance {config.host.name}, {format_size(config.host.memory_bytes)} of memory, runners: {', '.join(config.runners)}")
    for lane in config.lanes:
        chain = ", ".join(lane.queues)
        share = "for a job" if lane.concurrency == 1 else "for the jobs of a subworker"
        lines.append(f"  lane {lane.name}: {lane.capacity}, {format_size(lane.memory_bytes)} {share}, queues: {chain}")
    if not config.takes_any_queue:
        lines.append("  no lane has '*': jobs in any other queue wait for another host")
    budget = budget_of(config)
    lines += [f"  {budget.headline}", *(f"    {row}" for row in budget.rows())]
    return "\n".join(lines)
