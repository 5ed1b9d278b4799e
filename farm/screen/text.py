"""Text fitted into cells of a terminal; text from jobs, hosts and databases is made harmless first.

Nothing that comes out of `clean` can move the cursor, change colours, hide other text or reverse it, and each of its characters takes
one cell or two: so whoever draws a row knows where its columns stand.
"""

from __future__ import annotations

from functools import lru_cache
from unicodedata import category, normalize

from rich.cells import cell_len, get_character_cell_size

from farm.escapes import ESCAPES, UNWANTED

TEXT_MAX = 2_000
"""Characters of a text that are looked at: no row is as long."""
_UNKNOWN = frozenset({"Cn", "Co"})
"""Of these, terminals disagree how wide they are."""
_SKIN_TONES = frozenset(map(chr, range(0x1F3FB, 0x1F400)))
"""Wide by themselves, and nothing behind the picture of a hand: terminals disagree."""


def clean(text: object, *, ascii_only: bool = False) -> str:
    """Return a text as one printable line. ascii_only: with a `?` for each character that is not ASCII."""
    line = str(text)
    if not (line.isascii() and line.isprintable()):
        line = _cleaned(line[:TEXT_MAX])
    return line.encode("ascii", "replace").decode() if ascii_only else line


def clean_lines(text: str, *, ascii_only: bool = False) -> list[str]:
    """Return a text of several lines, such as a traceback, as printable lines; indentation stays."""
    lines = []
    for line in ESCAPES.sub("", text).expandtabs(8).splitlines():
        bare = line.lstrip(" ")
        lines.append(" " * min(len(line) - len(bare), TEXT_MAX) + clean(bare, ascii_only=ascii_only))
    return lines


def cells(text: str) -> int:
    """Return how many cells a clean text takes."""
    return len(text) if text.isascii() else cell_len(text)


def cut(text: str, width: int, ellipsis: str) -> str:
    """Return at most width cells of a clean text, with an ellipsis (one cell) where it was cut."""
    if cells(text) <= width:
        return text
    if width <= 0:
        return ""
    if text.isascii():
        return text[: width - 1] + ellipsis
    left = width - 1
    for index, char in enumerate(text):
        left -= get_character_cell_size(char)
        if left < 0:
            return text[:index] + ellipsis
    return text


def fit(text: str, width: int, ellipsis: str, *, right: bool = False) -> str:
    """Return exactly width cells of a clean text: cut, or filled with spaces. right: at the left end, as for numbers."""
    if text.isascii() and len(text) <= width:
        # Nearly all of them.
        return text.rjust(width) if right else text.ljust(width)
    short = cut(text, width, ellipsis)
    room = width - cells(short)
    if room <= 0:
        return short
    return " " * room + short if right else short + " " * room


def wrap(text: str, width: int) -> list[str]:
    """Return a clean text in pieces of at most width cells each, broken where they are full; at least one."""
    pieces, start, taken = [], 0, 0
    for index, char in enumerate(text):
        size = 1 if char.isascii() else get_character_cell_size(char)
        if taken + size > width and index > start:
            pieces.append(text[start:index])
            start, taken = index, 0
        taken += size
    return [*pieces, text[start:]]


def wrap_words(text: str, width: int) -> list[str]:
    """Return a clean text in pieces of at most width cells, broken between words where that is possible."""
    pieces: list[str] = []
    while cells(text) > width:
        head = wrap(text, width)[0]
        space = head.rfind(" ") if not text[len(head) :].startswith(" ") else len(head)
        head = head[:space] if space > 0 else head
        pieces.append(head.rstrip())
        text = text[len(head) :].lstrip()
    return [*pieces, text]


@lru_cache(maxsize=4096)
def _cleaned(text: str) -> str:
    line = normalize("NFC", " ".join(ESCAPES.sub("", text).split()))
    return "".join(char for char in line if _shows(char)).strip()


def _shows(char: str) -> bool:
    kind = category(char)
    # What has no width of its own stands on top of its neighbour, by the dozen if somebody likes.
    return kind not in UNWANTED and kind not in _UNKNOWN and char not in _SKIN_TONES and get_character_cell_size(char) > 0
