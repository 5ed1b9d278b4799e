"""Migrations, and the rules that every statement keeps."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from farm.errors import SchemaMismatch
from farm.store import schema
from farm.store.session import Session
from farm.store.statements import SQL_DIRECTORY, migrations

STATEMENTS = sorted(SQL_DIRECTORY.glob("*.sql"))
SEVERAL = {"begin_copy", "create_migrations", "plan_by_index", "plan_by_time", "set_session"}
"""Files of more than one statement; each says why."""
SETTINGS = {"begin_copy", "set_session"}
"""SET takes no casts, and a SELECT in its place would see the database too soon."""

TEXTS = {"queue", "state"}
"""Parameters that cannot be numbers."""


@pytest.fixture
def session(empty_dsn: str) -> Iterator[Session]:
    opened = Session(empty_dsn, application_name="test", deadline_s=30)
    yield opened
    opened.close()


def test_a_fresh_database_gets_every_migration_once(session: Session, empty_dsn: str) -> None:
    with pytest.raises(SchemaMismatch, match="no farm schema: run `farm migrate`"):
        schema.require(session)
    assert schema.migrate(session) == [f"{m.version:04} {m.name}" for m in migrations()]
    assert schema.migrate(session) == []
    schema.require(session)
    with psycopg.connect(empty_dsn) as connection:
        assert connection.execute("SELECT max(upper_id), count(*) FROM farm.partition").fetchone() == (20_000_000, 4)


def test_several_that_migrate_at_once_do_it_once(empty_dsn: str) -> None:
    applied: list[str] = []

    def migrate() -> None:
        session = Session(empty_dsn, application_name="test", deadline_s=30)
        applied.extend(schema.migrate(session))
        session.close()

    threads = [threading.Thread(target=migrate) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(applied) == [f"{m.version:04} {m.name}" for m in migrations()]


def test_another_version_is_refused_with_what_to_do(session: Session, empty_dsn: str) -> None:
    schema.migrate(session)
    known = migrations()[-1].version
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        connection.execute("INSERT INTO farm.migration (version, name) VALUES (%s, 'future')", [known + 4])
        with pytest.raises(SchemaMismatch, match=f"^database schema is version {known + 4}, this farm knows {known}: upgrade farm$"):
            schema.require(session)
        with pytest.raises(SchemaMismatch, match="upgrade farm"):
            schema.migrate(session)
        connection.execute("DELETE FROM farm.migration WHERE version > 2")
    with pytest.raises(SchemaMismatch, match=f"^database schema is version 2, this farm needs {known}: run `farm migrate`$"):
        schema.require(session)


def test_a_migration_that_fails_leaves_nothing_behind(session: Session, empty_dsn: str) -> None:
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA farm; CREATE TABLE farm.heartbeat (x int)")
        with pytest.raises(Exception, match='relation "heartbeat" already exists'):
            schema.migrate(session)
        with pytest.raises(SchemaMismatch, match="version 1"):
            schema.require(session)
        assert connection.execute("SELECT to_regclass('farm.host')").fetchone() == (None,)
        connection.execute("DROP TABLE farm.heartbeat")
    assert schema.migrate(session)


def test_a_row_that_waits_has_sixteen_bytes_of_data(session: Session, empty_dsn: str) -> None:
    schema.migrate(session)
    with psycopg.connect(empty_dsn) as connection:
        connection.execute("INSERT INTO farm.ready (class_id, priority, job_id) VALUES (1, 4, 1)")
        row = connection.execute("SELECT pg_column_size(r.*) - pg_column_size(ROW()) FROM farm.ready AS r").fetchone()
        assert row == (16,)


@pytest.mark.parametrize("path", STATEMENTS, ids=[path.stem for path in STATEMENTS])
def test_every_statement_keeps_the_rules(path: Path) -> None:
    text = path.read_text()
    comment, code = text.split("\n", 1)
    assert comment.startswith("-- ")
    body = "\n".join(line for line in code.splitlines() if not line.lstrip().startswith("--")).strip()
    name = path.stem
    assert ";" not in body or name in SEVERAL, "one statement to a file"
    if name not in SETTINGS:
        bare = set(re.findall(r"%\((\w+)\)s(?!::)", body))
        assert bare <= TEXTS, "psycopg sends small numbers as smallint, and then shifting them is silently wrong"
    assert "'%(" not in body, "a placeholder never stands inside quotes"
    hot = re.findall(r"(?:FROM|JOIN|UPDATE|INTO|COPY) farm\.(ready|returned|scheduled|lease|result|failure|idle|job)\b", body)
    if hot and not body.startswith("COPY") and not name.startswith("check_"):
        assert "shard" in body, "hot statements say shard = 0"
