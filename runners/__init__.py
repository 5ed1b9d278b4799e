"""The runners that come with farm, one module each, found by name."""

from __future__ import annotations

from importlib import import_module

from farm.ports import Runner

BUILTIN = {"python": "runners.python:PythonRunner"}
"""Where each built-in runner stands: name -> `module:class`."""


def load(name: str) -> type[Runner]:
    """Return the class of the runner of this name; imports its module. Raises KeyError for an unknown name."""
    module_name, _, class_name = BUILTIN[name].partition(":")
    runner: type[Runner] = getattr(import_module(module_name), class_name)
    return runner
