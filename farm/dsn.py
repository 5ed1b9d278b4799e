"""PostgreSQL's DSNs: what is one, what it names, and why a connection to that could not be made. No text here holds a password."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from farm.errors import StoreError

_PRELUDE = re.compile(
    r"^(?:connection (?:failed|is bad): )*"
    r'(?:connection to server (?:at|on socket) "[^"]*"(?: \([^)]*\))?(?:, port [0-9]+)? failed: )?'
    r"(?:FATAL: +|\[Errno -?[0-9]+\] )?"
)
_AFTERTHOUGHT = re.compile(r"(?: Is the server running [^?]*\?| Multiple connection attempts failed\.).*$")
_HINTS = (
    ("Connection refused", "Connection refused; is PostgreSQL running there?"),
    ("No such file or directory", "there is no such socket; is PostgreSQL running there?"),
    ("no password supplied", "it asks for a password, and there is none in the DSN, in PGPASSWORD or in ~/.pgpass"),
    ("timeout expired", "no answer in time"),
    ("failed to resolve host", "no such host is known"),
)
_UP_TO_AT = re.compile(r"(?<![^\s@])[^\s@]++@")
_LOGIN = re.compile(r"://[^:/]*+:(?=.)")
_PASSWORD = re.compile(r"(\bpassword\s*=\s*)(?:'[^']*'|[^\s&']+)", re.IGNORECASE)
_NO_DATABASE = re.compile(r'database "[^"]*" does not exist')


def is_dsn(text: str) -> bool:
    """Say whether libpq can read text as a DSN."""
    # Imported here: a farm on the embedded database needs no DSN checked, and psycopg takes 100 ms to import.
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    if "=" not in text and "://" not in text:
        return False
    try:
        parts = conninfo_to_dict(text)
    except (ProgrammingError, UnicodeError, ValueError):
        return False
    # libpq itself looks at these only when it connects, and quotes them then; what was meant as a password may stand here.
    return all(_is_port(port) for port in str(parts.get("port") or "").split(","))


def describe_dsn(dsn: str) -> str:
    """Say which database a DSN names: host, port, database and user, nothing else."""
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        return describe_parts(conninfo_to_dict(dsn))
    except ProgrammingError:
        raise StoreError("the database's DSN cannot be read") from None


def describe_parts(parts: Mapping[str, Any]) -> str:
    """Say which database the parts of a DSN name."""
    host = parts.get("host") or parts.get("hostaddr") or "the local socket"
    port = f":{parts['port']}" if parts.get("port") else ""
    user = f"{parts['user']}@" if parts.get("user") else ""
    return f"PostgreSQL {user}{host}{port}/{parts.get('dbname') or ''}".rstrip("/")


def why_not_connected(text: str) -> str:
    """Return what libpq and psycopg say of a failed connection, without where to, and with what to do about it."""
    reason = _AFTERTHOUGHT.sub("", _PRELUDE.sub("", " ".join(text.split())))
    for sign, words in _HINTS:
        if sign in reason:
            return words
    return f"{reason}; `createdb` makes it" if _NO_DATABASE.search(reason) else reason


def without_passwords(text: str) -> str:
    """Return text with `***` for what may be the password of a DSN in it, wherever that came from."""
    if "@" in text and "://" in text:
        # Piece by piece: to look for the @ behind each :// would take a text of many of them, which a job may print, a time by its square.
        text = _UP_TO_AT.sub(_without_login, text)
    return _PASSWORD.sub(r"\1***", text)


def _without_login(piece: re.Match[str]) -> str:
    """Return what has no blank in it, up to an @, with `***` for the password of a login."""
    text = piece[0]
    login = _LOGIN.search(text, 0, len(text) - 1)
    return text if login is None else f"{text[: login.end()]}***@"


def _is_port(text: str) -> bool:
    return not text or (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= 65535)
