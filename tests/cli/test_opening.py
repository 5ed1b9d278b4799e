"""Every command finds its database in the same order, and says which one without its password."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from farm.cli.opening import chosen_database, differs_from_environment
from farm.config import Database
from farm.dsn import describe_dsn
from farm.errors import ConfigError

CONFIG = "database: postgresql://file/d\nrunners: {python: {}}\nlanes: {a: {queues: [q]}}\n"


def args(dsn: str | None = None, config: Path | None = None) -> argparse.Namespace:
    return argparse.Namespace(dsn=dsn, config=config)


def test_the_order_is_flag_configuration_environment_embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(CONFIG)
    monkeypatch.setenv("FARM_DSN", "postgresql://environment/d")
    assert chosen_database(args("postgresql://flag/d", file)).dsn == "postgresql://flag/d"
    assert chosen_database(args(config=file)).dsn == "postgresql://file/d"
    assert chosen_database(args()).dsn == "postgresql://environment/d"
    assert chosen_database(args("embedded")).kind == "embedded"
    monkeypatch.delenv("FARM_DSN")
    assert chosen_database(args()).kind == "embedded"
    with pytest.raises(ConfigError, match=r"^--dsn: expected embedded or a PostgreSQL DSN such as postgresql://user@host/database$"):
        chosen_database(args("s3cret@host"))


@pytest.mark.parametrize(
    ("dsn", "text"),
    [
        ("postgresql://u:s3cret@db.example:5433/farm?sslmode=require", "PostgreSQL u@db.example:5433/farm"),
        ("host=/run/postgresql dbname=farm password=s3cret", "PostgreSQL /run/postgresql/farm"),
        ("postgresql:///farm", "PostgreSQL the local socket/farm"),
        ("postgresql://h", "PostgreSQL h"),
    ],
)
def test_a_database_is_named_without_its_password(dsn: str, text: str) -> None:
    assert describe_dsn(dsn) == text


def test_an_environment_that_names_another_database_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    embedded, named = Database(kind="embedded"), Database(kind="dsn", dsn="postgresql://h/d")
    assert not differs_from_environment(embedded)
    monkeypatch.setenv("FARM_DSN", "postgresql://h/d")
    assert differs_from_environment(embedded)
    assert not differs_from_environment(named)
    monkeypatch.setenv("FARM_DSN", "postgresql://h/other")
    assert differs_from_environment(named)
