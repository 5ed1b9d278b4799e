"""`farm migrate` is safe to run again, and is the only command that changes a schema that is not embedded."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Farm


def test_it_applies_what_is_missing_and_then_nothing(farm: Farm, empty_dsn: str, tmp_path: Path) -> None:
    first = farm("migrate", "--dsn", empty_dsn)
    assert first.returncode == 0
    assert ": applied 0001 " in first.stdout
    file = tmp_path / "c.yaml"
    file.write_text(f"database: {empty_dsn}\nrunners: {{python: {{}}}}\nlanes: {{a: {{queues: [q]}}}}\n")
    again = farm("migrate", file)
    assert again.returncode == 0
    assert again.stdout.endswith(": up to date\n")


def test_a_schema_that_is_missing_is_not_made_by_other_commands(farm: Farm, empty_dsn: str) -> None:
    for command in (["jobs"], ["job", "1"], ["status"], ["check"], ["enqueue", "app:f"]):
        done = farm(*command, "--dsn", empty_dsn)
        assert (done.returncode, done.stdout) == (2, ""), command
        assert done.stderr == "farm: the database has no farm schema: run `farm migrate`\n"


def test_the_embedded_database_is_made_and_migrated_by_the_first_command(farm: Farm, farm_home: Path) -> None:
    assert farm("enqueue", "app:f").stdout == "1\n"
    done = farm("migrate")
    assert done.stdout.startswith("embedded PostgreSQL ")
    assert done.stdout.endswith(f" in {farm_home}: up to date\n")
