"""The tasks of the demo, of the tests and of the measurements. Imports next to nothing: every subworker that runs one pays for it."""

from __future__ import annotations

import time
from typing import Any


def noop(*_args: object, **_named: object) -> dict[str, Any]:
    """Do nothing, whatever the arguments, and return the smallest result there is: `{}`."""
    return {}


def sleep(seconds: float) -> dict[str, Any]:
    """Sleep for that many seconds. Returns {"slept_s": seconds}."""
    time.sleep(seconds)
    return {"slept_s": seconds}


def spin(seconds: float) -> dict[str, Any]:
    """Keep a processor busy for so much CPU time of this thread. Returns `{}`."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        # Some microseconds between two looks, so that it is this code that takes the time and not the kernel's clock.
        for _ in range(200):
            pass
    return {}


def survey(path: str) -> dict[str, Any]:
    """Parse one Python source file, count what it consists of, hash it and compress it.

    Returns path, bytes, lines, nodes (of the syntax tree), functions, classes, sha256, compressed_bytes, and problem: None, or why
    the file does not parse (the counts of its syntax are 0 then; some packages ship such files on purpose). Raises OSError.
    """
    import hashlib
    import zlib

    with open(path, "rb") as file:
        source = file.read()
    nodes, functions, classes, problem = _syntax(source)
    return {
        "path": path,
        "bytes": len(source),
        "lines": len(source.splitlines()),
        "nodes": nodes,
        "functions": functions,
        "classes": classes,
        "sha256": hashlib.sha256(source).hexdigest(),
        "compressed_bytes": len(zlib.compress(source, 6)),
        "problem": problem,
    }


def _syntax(source: bytes) -> tuple[int, int, int, str | None]:
    import ast
    import warnings

    # Old string escapes in other people's code would fill the farm's log with warnings.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            return 0, 0, 0, f"{type(error).__name__}: {error}".encode("utf-8", "replace").decode().replace("\0", "")
    nodes = functions = classes = 0
    for node in ast.walk(tree):
        nodes += 1
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            functions += 1
        elif isinstance(node, ast.ClassDef):
            classes += 1
    return nodes, functions, classes, None
