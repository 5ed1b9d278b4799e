"""What is said of a subworker that cannot be set up."""

from __future__ import annotations

import pytest

from farm.subworker.preparation import REASON_CHARS_MAX, SetupFailed, call_setup, reason_of


class Odd(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError("no\n  such\tdevice"), "OSError: no such device"),
        (ValueError("a\x1b[31mb"), "ValueError: a\\x1b[31mb"),
        (KeyError(), "KeyError"),
        (Odd(), "Odd"),
        (RuntimeError("postgresql://shop:hush@till/ with opensesame"), "RuntimeError: postgresql://shop:***@till/ with ***"),
        (RuntimeError("in eu"), "RuntimeError: in eu"),
    ],
)
def test_it_is_one_line_without_secrets(error: Exception, said: str) -> None:
    assert reason_of(error, secrets=["eu", "opensesame"]) == said


def test_it_is_cut_but_says_where() -> None:
    with pytest.raises(SetupFailed) as failed:
        call_setup(["tests.unit.test_preparation:complain"], wait=None)
    said = reason_of(failed.value, secrets=[])
    assert said.startswith("setup tests.unit.test_preparation:complain: RuntimeError: xxx")
    assert said.endswith(f"... (test_preparation.py, line {complain.__code__.co_firstlineno + 1})")
    assert len(said) == REASON_CHARS_MAX


def complain() -> None:
    raise RuntimeError("x" * 1000)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no_such_module:open", "there is no module 'no_such_module'; is its directory in runners.python.path?"),
        ("json:no_such", "module 'json' has no function 'no_such'"),
    ],
)
def test_what_is_not_there_is_named(name: str, said: str) -> None:
    with pytest.raises(SetupFailed) as failed:
        call_setup([name], wait=None)
    assert reason_of(failed.value, secrets=[]) == f"setup {name}: LookupError: {said}"
