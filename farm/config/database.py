"""Which database a farm or a command uses: `--dsn`, the configuration's `database`, FARM_DSN, the embedded one, in this order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from farm.config.keys import DATABASE
from farm.config.model import Database
from farm.config.problems import Problems, did_you_mean, shown
from farm.config.section import Section
from farm.config.tree import Node, Scalar
from farm.dsn import is_dsn
from farm.errors import ConfigError

DSN_VARIABLE = "FARM_DSN"

_EXPECTED = "expected embedded or a PostgreSQL DSN such as postgresql://user@host/database"


def choose_database(dsn: str | None, configured: Database | None, environ: Mapping[str, str]) -> Database:
    """Return the database to use. Raises ConfigError for a DSN that is none; its text never shows the DSN."""
    if dsn is not None:
        return database_from(dsn, "--dsn")
    if configured is not None:
        return configured
    if environ.get(DSN_VARIABLE):
        return database_from(environ[DSN_VARIABLE], "FARM_DSN")
    return Database(kind="embedded")


def read_database(node: Node | None, problems: Problems) -> Database | None:
    """Read the key `database` of a configuration: None where it is missing or wrong (noted)."""
    if node is None:
        return None
    if not isinstance(node, Scalar):
        return _read_mapping(Section(node, "database", problems, node.place, DATABASE.keys))
    if node.refused:
        return None
    if node.value == "embedded":
        return Database(kind="embedded", source="config")
    if isinstance(node.value, str) and is_dsn(node.value):
        return Database(kind="dsn", dsn=node.value, source="config")
    # Only a single short word is shown: anything longer may be a DSN with a slip in it, and hold a password.
    is_word = isinstance(node.value, str) and not node.filled_in and node.value.isalpha() and len(node.value) <= 12
    got = f", got '{shown(node.raw)}'{did_you_mean(node.raw, ['embedded'])}" if is_word else ""
    problems.add(node.place, "database", _EXPECTED + got)
    return None


def _read_mapping(section: Section) -> Database | None:
    section.require("dsn")
    dsn, listen = section.text("dsn"), section.text("listen")
    for key, text in (("dsn", dsn), ("listen", listen)):
        if text is not None and not is_dsn(text):
            section.note(key, "expected a PostgreSQL DSN such as postgresql://user@host/database")
    pooled = section.boolean("pooled")
    return None if dsn is None else Database(kind="dsn", dsn=dsn, pooled=pooled, listen=listen, source="config")


def database_from(text: str, option: str) -> Database:
    """Return the database that an option names. Raises ConfigError for a DSN that is none; its text never shows the DSN."""
    source: Literal["--dsn", "FARM_DSN"] = "FARM_DSN" if option == DSN_VARIABLE else "--dsn"
    if text == "embedded":
        return Database(kind="embedded", source=source)
    if not is_dsn(text):
        raise ConfigError([f"{option}: {_EXPECTED}"])
    return Database(kind="dsn", dsn=text, source=source)
