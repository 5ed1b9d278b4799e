"""What is asked of farms on other hosts, from both sides: who asks and waits for the answers, and the host that answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import psycopg

from farm.errors import FarmError
from farm.model import HostRequest
from farm.store.session import Session, bigint_array

UNSTORABLE = {"error": "the answer cannot be stored"}


class KnownHost(NamedTuple):
    """A host that lives, or was retired within the last hour."""

    id: int
    name: str
    """Of the machine."""
    instance: str
    live: bool
    running: int
    """Jobs, as of its last heartbeat."""
    beat_age_s: float


class RequestStore:
    """Each call is one short transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def hosts(self) -> list[KnownHost]:
        """Return the hosts that could be asked, and those that have been retired within the last hour."""
        return [KnownHost(*row) for row in self._session.fetch("list_known_hosts")]

    def make(self, host_ids: Sequence[int], kind: str, arguments: Mapping[str, Any], *, made_by: str) -> dict[int, int]:
        """Ask hosts for something; returns who was asked, by the number of the request. Raises FarmError where it is too much to ask."""
        params = {"host_ids": list(host_ids), "kind": kind, "arguments": json.dumps(arguments), "made_by": made_by}
        try:
            return {request_id: host_id for request_id, host_id, _ in self._session.fetch("make_requests", params)}
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            raise FarmError(f"that cannot be asked: {error.diag.message_primary or error}") from error

    def answers(self, request_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Return the answers that are there, by the number of the request."""
        return dict(self._session.fetch("read_answers", {"ids": bigint_array(request_ids)}))

    def withdraw(self, request_ids: Sequence[int]) -> list[int]:
        """Take requests back; returns those of them that had not been answered."""
        return [row[0] for row in self._session.fetch("withdraw_requests", {"ids": bigint_array(request_ids)})]

    def unanswered(self, host_id: int, limit: int) -> list[HostRequest]:
        """Return what a host is asked for, the oldest first."""
        return [HostRequest(*row) for row in self._session.fetch("list_requests", {"host_id": host_id, "limit": limit})]

    def answer(self, request_id: int, answer: Mapping[str, Any]) -> None:
        """Answer a request; one that was withdrawn stays without."""
        try:
            self._session.fetch("answer_request", {"id": request_id, "answer": json.dumps(answer)})
        except psycopg.DataError:
            # It quotes what somebody has asked for, or a file: that may hold what PostgreSQL does not take as text.
            self._session.fetch("answer_request", {"id": request_id, "answer": json.dumps(UNSTORABLE)})
