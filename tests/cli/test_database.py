"""`farm database copy`, from the embedded PostgreSQL to another one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Farm


def test_from_the_embedded_database_to_another_one(farm: Farm, farm_home: Path, empty_dsn: str) -> None:
    for _ in range(3):
        assert farm("enqueue", "app:f", '{"a": [1, "x"]}').returncode == 0
    done = farm("database", "copy", "--to", empty_dsn)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("copied 3 jobs (")
    assert "  from embedded PostgreSQL " in done.stdout
    assert "from now on everybody has to use the new one" in done.stdout
    old, new = (farm("jobs", "--json", *arguments) for arguments in ((), ("--dsn", empty_dsn)))
    assert json.loads(old.stdout) == json.loads(new.stdout)
    assert farm("enqueue", "app:f", "--dsn", empty_dsn).stdout == "4\n"
    again = farm("database", "copy", "--to", empty_dsn)
    assert (again.returncode, again.stdout) == (2, "")
    assert again.stderr == "farm: the new database has been in use by a farm: a copy goes into an empty one\n"


def test_as_data_and_with_a_bar_on_a_terminal(farm: Farm, terminal: Callable[..., tuple[int, str]], dsn: str, empty_dsn: str) -> None:
    farm("enqueue", "app:f", "--dsn", dsn)
    code, shown = terminal("database", "copy", "--dsn", dsn, "--to", empty_dsn, "--json")
    assert code == 0, shown
    assert "copying" in shown
    assert '"rows"' in shown


@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("embedded", "farm: --to: expected a PostgreSQL DSN, such as postgresql://user@host/farm: there is no second embedded database\n"),
        ("my secret words", "--to: expected "),
        ("host=/no/such/place password=secret", "farm: cannot connect to PostgreSQL /no/such/place: there is no such socket"),
    ],
)
def test_what_cannot_be_copied_to_is_refused_in_a_line(farm: Farm, dsn: str, to: str, said: str) -> None:
    done = farm("database", "copy", "--dsn", dsn, "--to", to)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(said)
    assert "secret" not in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_action_is_required(farm: Farm) -> None:
    assert farm("database").stderr == "farm database: the following arguments are required: ACTION (farm database --help says more)\n"
