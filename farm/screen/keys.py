"""Keys out of the bytes that a terminal sends, however these were cut into pieces. No I/O."""

from __future__ import annotations

import re

_SEQUENCE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|O[@-~])")
_OPEN = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|O)?\Z")
_NAMES = {
    b"A": "up", b"B": "down", b"C": "right", b"D": "left", b"H": "home", b"F": "end", b"Z": "shift-tab",
    b"1~": "home", b"4~": "end", b"5~": "pageup", b"6~": "pagedown", b"7~": "home", b"8~": "end",
}  # fmt: skip
_CONTROLS = {
    0x03: "ctrl-c", 0x08: "backspace", 0x09: "tab", 0x0A: "enter", 0x0D: "enter", 0x0C: "redraw", 0x1B: "escape", 0x20: "space",
    0x7F: "backspace",
}  # fmt: skip
OPEN_BYTES_MAX = 64
"""No sequence of a terminal is longer: what goes on beyond it is noise."""


class Keys:
    """Turns bytes into keys: a character as itself, others by name (`up`, `enter`, `space`, `escape`); unknown ones are passed over."""

    def __init__(self) -> None:
        self._rest = b""

    @property
    def pending(self) -> bool:
        """Whether something was begun: an escape key alone, or a sequence whose end is still to come."""
        return bool(self._rest)

    def feed(self, received: bytes) -> list[str]:
        """Return the keys that are complete now."""
        received, self._rest = self._rest + received, b""
        keys: list[str] = []
        at = 0
        while at < len(received):
            if received[at] == 0x1B:
                found = _SEQUENCE.match(received, at)
                if found is not None:
                    at = found.end()
                    name = _NAMES.get(found.group().lstrip(b"\x1b[O")) or _NAMES.get(found.group()[-1:])
                    if name is not None:
                        keys.append(name)
                    continue
                if _OPEN.match(received, at) and len(received) - at < OPEN_BYTES_MAX:
                    self._rest = received[at:]
                    return keys
            size = _size(received[at])
            piece = received[at : at + size]
            if len(piece) < size:
                self._rest = piece
                return keys
            at += size
            keys += _key(piece)
        return keys

    def flush(self) -> list[str]:
        """Return what was begun and did not go on within the time that a terminal takes for a sequence: the escape key itself."""
        begun, self._rest = self._rest, b""
        # Of `escape [` typed by hand only the first means something.
        return ["escape"] if begun[:1] == b"\x1b" else []


def _size(first: int) -> int:
    """Return how many bytes the character has that begins with this one."""
    return 4 if first >= 0xF0 else 3 if first >= 0xE0 else 2 if first >= 0xC0 else 1


def _key(piece: bytes) -> list[str]:
    if len(piece) == 1 and piece[0] in _CONTROLS:
        return [_CONTROLS[piece[0]]]
    text = piece.decode("utf-8", "ignore")
    return [text] if len(text) == 1 and text.isprintable() else []
