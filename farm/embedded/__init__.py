"""The PostgreSQL that farm brings up itself where none is named: open_server() starts or adopts it.

It is nobody's child. Everyone who uses it holds a share of a lock; a keeper, detached from all of them, runs the server
and stops it a little after the last share is gone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from farm.embedded.server import EmbeddedServer, open_server

__all__ = ["EmbeddedServer", "open_server"]


def __getattr__(name: str) -> Any:
    # Late, because the keeper imports this package too and stays in memory for hours: it must load nothing it does not need.
    if name in __all__:
        return getattr(import_module("farm.embedded.server"), name)
    raise AttributeError(name)
