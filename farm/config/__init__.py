"""The configuration of a farm: `load` reads a file into a Config, or says everything that is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from farm.config.model import Config, Database, Host, Lane, Recycle, WriterOptions
from farm.config.sources import Sources

if TYPE_CHECKING:
    from farm.config.loader import load

__all__ = ["Config", "Database", "Host", "Lane", "Recycle", "Sources", "WriterOptions", "load"]


def __getattr__(name: str) -> Any:
    # The writer knows the dataclasses only: it need not carry a YAML parser.
    if name == "load":
        from farm.config.loader import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
