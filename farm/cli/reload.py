"""`farm reload`: applies the changed configuration of a running farm."""

from __future__ import annotations

import argparse

from farm.errors import ConfigError

EPILOG = """\
The farm reads the file again that it was started with, and applies what has changed without losing or restarting a running job.
When the file is wrong, what is wrong is printed, the exit code is 2, and the farm goes on as it was. SIGHUP does the same.

examples:
  farm reload
  farm reload --all-hosts
  farm plan farm.yaml                  say first what would change
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `farm reload`."""
    from farm.cli.target import add_target_arguments

    parser.epilog = EPILOG
    add_target_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Reload, and print what has changed."""
    from farm.cli.target import carry_out
    from farm.control import Refused

    try:
        return carry_out(args, "reload", {})
    except Refused as refused:
        # What is wrong with a file is said as everywhere: each with its place, a line each.
        raise ConfigError([*str(refused).splitlines(), "the farm goes on as it was"]) from refused
