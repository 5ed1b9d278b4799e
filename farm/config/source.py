"""Reads a configuration file: bounded, never waiting for a pipe, and decoded with the position of what is wrong."""

from __future__ import annotations

import codecs
import os
import re
import stat
from difflib import get_close_matches

from farm.config.problems import SHOWN_MAX, START, Place, Problems, printable, shown
from farm.errors import ConfigError

FILE_BYTES_MAX = 1 << 20
OTHERS_MAX = 5
"""Configurations that are named when there is none of the name given."""

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
"""What YAML itself does not allow in a file, and a byte order mark inside of it."""


def read_source(path: str) -> str:
    """Return the text of a file in UTF-8 or, with a byte order mark, UTF-16. Raises ConfigError."""
    problems = Problems(path)
    text = _decode(_read(path), problems)
    problems.raise_if_any()
    unprintable = _UNPRINTABLE.search(text)
    if unprintable is not None:
        problems.add(_place(text, unprintable.start()), "", f"the character U+{ord(unprintable.group()):04X} is not allowed in a file")
    problems.raise_if_any()
    return text


def _read(path: str) -> bytes:
    try:
        # Without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        hint = _others(path) if isinstance(error, FileNotFoundError) else ""
        raise ConfigError([f"{path}: cannot be read: {_reason(error)}{hint}"]) from None
    try:
        mode = os.fstat(handle).st_mode
        if stat.S_ISDIR(mode):
            raise ConfigError([f"{path}: is a directory, not a configuration file"])
        if not stat.S_ISREG(mode):
            raise ConfigError([f"{path}: is not a regular file"])
        with os.fdopen(os.dup(handle), "rb") as file:
            data = file.read(FILE_BYTES_MAX + 1) or b""  # None: a device that has nothing to say
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {_reason(error)}"]) from None
    finally:
        os.close(handle)
    if len(data) > FILE_BYTES_MAX:
        raise ConfigError([f"{path}: is larger than 1 MiB"])
    return data


def _others(path: str) -> str:
    """Name the configurations that are there: what is nearest to a name that does not exist, else a few of them."""
    here = os.path.dirname(path)
    directories = [here] if here else ["", "configs"]
    found = sorted(os.path.join(directory, name) for directory in directories for name in _listed(directory or "."))
    # By their bare names: all of them end alike, which would make any two look near to each other.
    by_stem = {_stem(other): other for other in reversed(found)}
    near = get_close_matches(_stem(path)[:SHOWN_MAX], by_stem, n=1)
    if near:
        return f"; did you mean '{printable(by_stem[near[0]])}'?"
    names = [shown(os.path.basename(other) if here else other) for other in found[:OTHERS_MAX]]
    return f" (there are: {', '.join(names)})" if names else ""


def _stem(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0]


def _listed(directory: str) -> list[str]:
    try:
        return [name for name in os.listdir(directory) if name.endswith((".yaml", ".yml"))]
    except OSError:
        return []


def _decode(data: bytes, problems: Problems) -> str:
    encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        before = data[: error.start].decode(encoding, "ignore")
        wrong = data[error.start] if error.start < len(data) else 0
        claimed = "UTF-16" if encoding == "utf-16" else "UTF-8"
        problems.add(_place(before, len(before)), "", f"the byte 0x{wrong:02x} is not {claimed}: save the file as UTF-8")
        return ""


def _place(text: str, offset: int) -> Place:
    before = text[:offset]
    return Place(before.count("\n") + 1, offset - before.rfind("\n")) if offset else START


def _reason(error: OSError | ValueError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
