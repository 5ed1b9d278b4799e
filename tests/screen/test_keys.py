"""Bytes of a terminal become keys, however they are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.screen.keys import Keys

TYPED = {
    b"\x1b[A": "up", b"\x1bOA": "up", b"\x1b[B": "down", b"\x1b[1;5C": "right", b"\x1b[D": "left", b"\x1b[Z": "shift-tab",
    b"\x1b[5~": "pageup",
    b"\x1b[6~": "pagedown", b"\x1b[H": "home", b"\x1bOF": "end", b"\x1b[1~": "home", b"\t": "tab", b"\r": "enter", b"\n": "enter",
    b" ": "space",
    b"\x7f": "backspace", b"\x08": "backspace", b"\x03": "ctrl-c", b"\x0c": "redraw", b"q": "q", "ä".encode(): "ä", "語".encode(): "語",
    b"\x1b[15~": None, b"\x01": None, b"\xff": None, b"\x1b[200~": None,
}  # fmt: skip


@pytest.mark.parametrize("sent", TYPED)
def test_a_key(sent: bytes) -> None:
    assert Keys().feed(sent) == [key for key in (TYPED[sent],) if key is not None]


@given(st.lists(st.sampled_from([sent for sent in TYPED if sent != b"\xff"]), max_size=12), st.data())
def test_pieces_of_any_size_make_the_same_keys(sent: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    keys = Keys()
    got = []
    for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        got += keys.feed(whole[start:end])
    assert got == [key for key in map(TYPED.get, sent) if key is not None]
    assert not keys.pending


def test_escape_alone_is_a_key_after_a_moment() -> None:
    keys = Keys()
    assert keys.feed(b"\x1b") == []
    assert (keys.pending, keys.flush(), keys.pending) == (True, ["escape"], False)
    assert keys.feed(b"[A") == ["[", "A"]


@given(st.lists(st.binary(max_size=90), max_size=5))
def test_noise_raises_nothing_and_ends(pieces: list[bytes]) -> None:
    keys = Keys()
    for piece in pieces:
        assert all(isinstance(key, str) for key in keys.feed(piece))
    keys.flush()
    assert keys.feed(b"q") == ["q"]
