"""What a terminal can show: colours, as rich finds them out, and characters beyond ASCII."""

from __future__ import annotations

import codecs
import locale
from typing import TYPE_CHECKING, TextIO

from farm.screen.glyphs import ASCII, UNICODE, Glyphs

if TYPE_CHECKING:
    from rich.color import ColorSystem


def color_system(file: TextIO) -> ColorSystem | None:
    """Return the colours to use; None where the terminal has none, or NO_COLOR is set. The screen's own sixteen always do."""
    from rich.color import ColorSystem
    from rich.console import Console

    console = Console(file=file)
    return None if console.color_system is None or console.no_color else ColorSystem.STANDARD


def can_move(file: TextIO) -> bool:
    """Tell whether this is a terminal whose cursor can be moved."""
    from rich.console import Console

    return file.isatty() and not Console(file=file).is_dumb_terminal


def glyphs_for(*, ascii_only: bool) -> Glyphs:
    """Return the signs to use: those in ASCII if asked for, or where the locale's characters are not UTF-8."""
    return ASCII if ascii_only or not _utf_8() else UNICODE


def _utf_8() -> bool:
    # Not what Python makes of it: in the locale C it writes UTF-8, whatever the terminal thinks of that.
    try:
        return codecs.lookup(locale.nl_langinfo(locale.CODESET)).name == "utf-8"
    except LookupError:
        return False
