"""`farm stop`: another name for `farm drain`."""

from __future__ import annotations

from farm.cli.drain import add_arguments, run

__all__ = ["add_arguments", "run"]
