"""What each kind of statement costs PostgreSQL, from its own `log_statement_stats`: the CPU time that a backend used for a message."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

MARKERS = {
    "claim": "FROM farm.claim_jobs(",
    "read": "FROM farm.job AS j",
    "results": "COPY farm.result",
    "leases": "FROM farm.lease",
}
"""What tells the kinds of statement apart, looked for in this order; any other is of no kind."""
ENTRY = re.compile(r"^(?=\d{4}-\d\d-\d\d [^\n]* LOG: )", re.MULTILINE)
USAGE = re.compile(r"!\t([\d.]+) s user, ([\d.]+) s system, [\d.]+ s elapsed")


@contextmanager
def logged_statements(dsn: str, home: Path) -> Iterator[Counter[str]]:
    """Have what is done in a database logged; the counter is filled at the end: microseconds of CPU by kind.

    home: FARM_HOME of its embedded server. For sessions that begin inside. Raises RuntimeError when a kind has not been seen.
    """
    name = sql.Identifier(str(conninfo_to_dict(dsn)["dbname"]))
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER DATABASE {} SET log_statement_stats = on").format(name))
    log = next(home.glob("pg*/server.log"))
    offset = log.stat().st_size
    costs: Counter[str] = Counter()
    yield costs
    with log.open("rb") as file:
        file.seek(offset)
        costs.update(cpu_by_kind(file.read().decode("utf-8", "replace")))
    missing = [kind for kind in MARKERS if not costs[kind]]
    if missing:
        raise RuntimeError(f"{log} tells of no statement of the kind {missing[0]!r}: has the statement changed, or the log been cut?")


def cpu_by_kind(log: str) -> Counter[str]:
    """Return the microseconds of CPU, user and system, that a log tells for each kind of statement."""
    costs: Counter[str] = Counter()
    for entry in ENTRY.split(log):
        usage, (_, _, statement) = USAGE.search(entry), entry.partition("STATEMENT:  ")
        kind = next((kind for kind, marker in MARKERS.items() if marker in statement), None)
        if usage is not None and kind is not None:
            costs[kind] += round((float(usage[1]) + float(usage[2])) * 1e6)
    return costs
