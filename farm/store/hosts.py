"""What a host does for its own place in the farm: register, beat, retire."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

from farm.headway import Progress
from farm.model import CancelRequest
from farm.store.session import Session, bigint_array

CANCELS_MAX = 20_000
"""Requests read with one beat: those that are left come with the next."""


class Answer(NamedTuple):
    """What a beat of a living host is answered."""

    database_us: int
    """The database's clock, in microseconds since 2000."""
    waiters: bool
    """Somebody waits for the end of a job."""
    cancels: bool
    """Somebody wants a job to end."""
    requests: bool
    """Somebody asks this host for something."""


class HostStore:
    """The statements of the heartbeat thread, each one short transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def register(
        self,
        *,
        instance: str,
        name: str,
        lanes: Mapping[str, Any],
        capacity: int,
        memory_bytes: int,
        version: str,
        runners: Sequence[str] = (),
    ) -> int:
        """Register this boot as a new, living host and return its id (below 2**31). lanes is shown on screens as it is."""
        params = {
            "instance": instance,
            "name": name,
            "lanes": json.dumps(lanes),
            "runners": list(runners),
            "capacity": capacity,
            "memory_bytes": memory_bytes,
            "version": version,
        }
        return cast(int, self._session.fetch("register_host", params)[0][0])

    def describe(self, host_id: int, *, lanes: Mapping[str, Any], runners: Sequence[str], capacity: int, memory_bytes: int) -> None:
        """Say anew what a host is, after its configuration has changed."""
        params = {
            "host_id": host_id,
            "lanes": json.dumps(lanes),
            "runners": list(runners),
            "capacity": capacity,
            "memory_bytes": memory_bytes,
        }
        self._session.fetch("describe_host", params)

    def beat(
        self,
        host_id: int,
        running: Sequence[int],
        ages_s: Sequence[float],
        lanes: str | None = None,
        paused_queues: Sequence[str] | None = None,
    ) -> Answer | None:
        """Say that the host lives and which jobs have run on it for how long. None: it was retired, which is for ever.

        lanes: how its lanes do, as JSON; paused_queues: those that it claims nothing of; None for either: as at the last beat.
        """
        assert len(running) == len(ages_s)
        params = {
            "host_id": host_id,
            "running": bigint_array(running),
            "ages_s": list(ages_s),
            "lanes": lanes,
            "paused_queues": None if paused_queues is None else list(paused_queues),
        }
        rows = self._session.fetch("beat", params)
        return Answer(*rows[0]) if rows else None

    def tell_progress(self, host_id: int, said: Mapping[int, Progress]) -> None:
        """Say how far jobs are, by their ids, in the place of all that this host has said before."""
        params = {
            "host_id": host_id,
            "job_ids": bigint_array(list(said)),
            "fractions": [progress.fraction for progress in said.values()],
            "texts": [progress.text for progress in said.values()],
        }
        self._session.fetch("tell_progress", params)

    def cancels(self, host_id: int) -> list[CancelRequest]:
        """Return the jobs in leases of this host that are to end."""
        return [CancelRequest(*row) for row in self._session.transact("list_cancels", {"host_id": host_id, "limit": CANCELS_MAX})]

    def clock_us(self) -> int:
        """Return the database's clock, in microseconds since 2000."""
        return cast(int, self._session.fetch("read_clock_us")[0][0])

    def retire(self, host_id: int, beat: int | None) -> bool:
        """Retire a host if its beat is still this one; None, for one's own or a predecessor's row: whatever it is.

        False: it has beaten since, was retired already, or never was.
        """
        return bool(self._session.fetch("retire_host", {"host_id": host_id, "beat": beat}))
