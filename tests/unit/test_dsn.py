"""What a DSN is, and what is said of a connection that could not be made."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.dsn import describe_dsn, is_dsn, why_not_connected, without_passwords


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            'connection failed: connection to server at "127.0.0.1", port 1 failed: Connection refused\n'
            "\tIs the server running on that host and accepting TCP/IP connections?",
            "Connection refused; is PostgreSQL running there?",
        ),
        (
            'connection is bad: connection to server on socket "/x/.s.PGSQL.5432" failed: No such file or directory\n'
            "\tIs the server running locally and accepting connections on that socket?",
            "there is no such socket; is PostgreSQL running there?",
        ),
        (
            'connection failed: connection to server at "db" (10.0.0.1), port 5432 failed: FATAL:  database "nope" does not exist',
            'database "nope" does not exist; `createdb` makes it',
        ),
        (
            'connection failed: connection to server at "::1", port 5432 failed: FATAL:  password authentication failed for user "u"',
            'password authentication failed for user "u"',
        ),
        (
            'connection failed: connection to server at "::1", port 5432 failed: FATAL:  sorry, too many clients already\n'
            "Multiple connection attempts failed. All failures were:\n- host: 'a': connection failed",
            "sorry, too many clients already",
        ),
        ("connection timeout expired", "no answer in time"),
        ("failed to resolve host 'h': [Errno -2] Name or service not known", "no such host is known"),
        ('connection is bad: invalid sslmode value: "foo"', 'invalid sslmode value: "foo"'),
        ("something new", "something new"),
    ],
)
def test_a_failed_connection_is_told_in_few_words(said: str, shown: str) -> None:
    assert why_not_connected(said) == shown


@pytest.mark.parametrize("text", ["postgresql://h/d", "postgres://u:p@h:5432/d", "host=h", "host=a,b port=1,2", "port=", "postgresql:///d"])
def test_what_is_a_dsn(text: str) -> None:
    assert is_dsn(text)


@pytest.mark.parametrize(
    "text", ["", "h", "user@host", "postgresql://h:port/d", "port=0", "port=65536", "host=a x", "x=1", "port=1,x", "port=٣"]
)
def test_what_is_none(text: str) -> None:
    assert not is_dsn(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at postgresql://u:s3cret@h:5432/d failed", "at postgresql://u:***@h:5432/d failed"),
        ("host=h password=s3cret dbname=d", "host=h password=*** dbname=d"),
        ("host=h PASSWORD = 's3cret with spaces' x", "host=h PASSWORD = *** x"),
        ("postgresql://h/d?password=s3cret&sslmode=require", "postgresql://h/d?password=***&sslmode=require"),
        ("postgresql://h:5432/d and no password", "postgresql://h:5432/d and no password"),
    ],
)
def test_passwords_are_taken_out_of_any_text(text: str, shown: str) -> None:
    assert without_passwords(text) == shown


@given(st.lists(st.sampled_from(["://", ":", "/", "@", "a", "bc", " ", "\n"]), max_size=30).map("".join))
def test_a_password_is_what_stands_between_a_name_and_an_at(text: str) -> None:
    """Said as plainly as it can be, which takes too long for a text of many names."""
    assert without_passwords(text) == re.sub(r"(://[^\s:/@]*:)[^\s@]+(?=@)", r"\1***", text)


@pytest.mark.timeout(30)
def test_a_long_text_of_many_names_takes_no_time_to_speak_of() -> None:
    """A job may print it, and the supervisor's main thread would be what takes the time: minutes, where it grows by the square."""
    text = "://a:" * 300_000
    assert without_passwords(f"@ {text}") == f"@ {text}"


def test_a_dsn_of_several_hosts_names_them_all() -> None:
    assert describe_dsn("postgresql://u:s3cret@a:1,b:2/d") == "PostgreSQL u@a,b:1,2/d"
