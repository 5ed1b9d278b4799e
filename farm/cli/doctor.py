"""`farm doctor [CONFIG]`: what is wrong with this host and its database, or could be better, with a line of advice each."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from farm.errors import FarmError

if TYPE_CHECKING:
    from farm.config.model import Config, Database
    from farm.doctor.finding import Finding

SIGNS = {"ok": "ok", "advice": "could be better", "wrong": "WRONG"}
STYLES = {"ok": "green", "advice": "yellow", "wrong": "bold red"}

EPILOG = """\
With a configuration it is looked whether this host has what that needs, and at its database. Nothing is changed, here or there.
Exit code 1 if something is wrong; advice alone is 0.

examples:
  farm doctor
  farm doctor farm.yaml
  farm doctor --dsn postgresql://ada@db-1/farm --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `farm doctor`."""
    parser.epilog = EPILOG
    parser.add_argument("config", metavar="CONFIG", nargs="?", help="the configuration that a farm would run with here")
    parser.add_argument("--dsn", metavar="DSN", help="look at this database")
    parser.add_argument("--json", action="store_true", help="print a JSON array of objects with `check`, `level`, `text` and `advice`")


def run(args: argparse.Namespace) -> int:
    """Look, and print what was found."""
    from farm.cli.plain import as_json
    from farm.doctor.finding import Level

    findings = []
    for finding in _examine(args):
        findings.append(finding)
        if not args.json:
            _show(finding)
    if args.json:
        names = ("check", "level", "text", "advice")
        print(as_json([{name: getattr(finding, name) or None for name in names} for finding in findings]))
    else:
        print(_summary(findings))
    return 1 if any(finding.level is Level.WRONG for finding in findings) else 0


def _examine(args: argparse.Namespace) -> Iterator[Finding]:
    from farm.doctor.measures import examine_host, needs_of
    from farm.home import farm_home

    config = _config(args)
    database = _database(args, config)
    yield from examine_host(farm_home(), None if config is None else needs_of(config))
    if config is not None and config.metrics is not None:
        from farm.doctor.metrics import examine_metrics

        yield examine_metrics(config.metrics, farm_home(), config.host.name)
    yield from _examine_database(database)


def _examine_database(database: Database) -> Iterator[Finding]:
    """Look at the database; one that cannot be reached is a finding, not the end."""
    from farm.cli.opening import open_chosen
    from farm.doctor.embedded import examine_embedded, is_made
    from farm.doctor.finding import wrong
    from farm.doctor.server import examine_database
    from farm.home import farm_home

    if database.dsn is None:
        yield from examine_embedded(farm_home())
        if not is_made(farm_home()):
            return
    try:
        with open_chosen(database) as opened:
            yield from examine_database(opened.dsn, pooled=database.pooled, listen=database.listen, embedded=opened.embedded)
    except FarmError as error:
        yield wrong("database", str(error), "all that follows from it was not looked at")


def _config(args: argparse.Namespace) -> Config | None:
    from farm.config import load

    return None if args.config is None else load(args.config, dsn=args.dsn)


def _database(args: argparse.Namespace, config: Config | None) -> Database:
    import os

    from farm.config.database import choose_database

    return choose_database(args.dsn, None, os.environ) if config is None else config.database


def _show(finding: Finding) -> None:
    """Print a finding as soon as it is there: some take a second."""
    from farm.cli.plain import one_line

    sign, text = SIGNS[finding.level], one_line(finding.text)
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.text import Text

        line = Text.assemble((f"{sign:<16}", STYLES[finding.level]), (f"{finding.check}: ", "bold"), text)
        if finding.advice:
            line.append(f"\n{'':<16}{one_line(finding.advice)}", style="italic")
        Console(highlight=False, soft_wrap=True).print(line)
        return
    print(f"{sign:<16}{finding.check}: {text}")
    if finding.advice:
        print(f"{'':<16}{one_line(finding.advice)}")
    sys.stdout.flush()


def _summary(findings: list[Finding]) -> str:
    from farm.doctor.finding import Level
    from farm.units import counted

    bad = sum(finding.level is Level.WRONG for finding in findings)
    better = sum(finding.level is Level.ADVICE for finding in findings)
    if not bad and not better:
        return f"{counted(len(findings), 'check')}: all is well"
    parts = [f"{counted(bad, 'thing')} {'is' if bad == 1 else 'are'} wrong" if bad else "", f"{better} could be better" if better else ""]
    return f"{counted(len(findings), 'check')}: {', '.join(filter(None, parts))}"
