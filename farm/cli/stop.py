"""`farm stop`: another name for `farm drain`."""

from __future__ import annotations

import argparse

from farm.cli import drain
from farm.cli.drain import run

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `farm stop`."""
    drain.add_arguments(parser)
    parser.epilog = drain.EPILOG.replace("farm drain", "farm stop")
