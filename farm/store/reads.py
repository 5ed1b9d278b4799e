"""What people and programs ask about jobs, hosts and queues."""

from __future__ import annotations

from typing import Any

from psycopg.rows import dict_row

from farm.model import State, memory_class_bytes
from farm.store.connection import DeadlineConnection
from farm.store.history import history
from farm.store.progress import ProgressStore
from farm.store.session import Params, Session
from farm.store.statements import load
from farm.units import format_retry

_LISTS = {
    None: ("list_newest", 0),
    State.SUCCEEDED: ("list_finished", 1),
    State.FAILED: ("list_finished", 2),
    State.CANCELLED: ("list_finished", 3),
    State.READY: ("list_ready", 0),
    State.SCHEDULED: ("list_scheduled", 0),
    State.RETRYING: ("list_scheduled", 0),
    State.CLAIMED: ("list_held", 0),
    State.RUNNING: ("list_held", 0),
    State.BLOCKED: ("list_held", 0),
}
"""By state: the statement that knows where the newest of its jobs stand, and the status of their results."""


class ReadStore:
    """Reading statements: they lock nothing and never write."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._progress = ProgressStore(session)

    def jobs(self, state: str | None = None, queue: str | None = None, limit: int = 20) -> list[dict[str, Any]]:
        """Return the newest jobs of a state and a queue (None: of any), newest first, with the columns of the view farm.jobs.

        And `progress`: of a running job that has said any, {"fraction", "text"}, else None. Raises ValueError for a state that does
        not exist.
        """
        name, status = _LISTS[None if state is None else State(state)]
        jobs = self._read(name, {"state": state, "status": status, "queue": queue, "limit": limit})
        self._add_progress(jobs)
        return jobs

    def job(self, job_id: int) -> dict[str, Any] | None:
        """Return a job with the columns of the view, and under `attempts` what became of each of them, see history().

        Also what else it was enqueued with: `expires_at`, `retry` (such as `1s to 10m`), `timeout_s` and `memory_bytes`, rounded up to its
        memory class; None for what it does not say. Its `progress`, as jobs() has it; and of each attempt its `log`, None if it has none.
        """
        rows = self._read("read_job", {"job_id": job_id})
        if not rows:
            return None
        job = rows[0]
        base_ms, cap_ms, memory_mb = (job.pop(column) for column in ("retry_base_ms", "retry_cap_ms", "memory_mb"))
        job["retry"] = None if base_ms is None else format_retry(base_ms, cap_ms)
        timeout_ms = job.pop("timeout_ms")
        job["timeout_s"] = None if timeout_ms is None else timeout_ms / 1000
        job["memory_bytes"] = memory_class_bytes(memory_mb or 0)
        self._add_progress(rows)
        attempts = history(job, self._read("list_failures", {"job_id": job_id}), job.pop("read_at"))
        # After them: the log of an attempt is there as soon as its row is.
        logs = {(row["attempt"], row["finished_at"]): row["log"] for row in self._read("list_logs", {"job_id": job_id})}
        return {**job, "attempts": [{**one, "log": logs.get((one["attempt"], one["finished_at"]))} for one in attempts]}

    def host_that_runs(self, job_id: int) -> int | None:
        """Return the id of the host that runs a job, as it said at its last heartbeat; None if none does."""
        rows = self._read("find_running", {"job_id": job_id})
        return rows[0]["host_id"] if rows else None

    def status(self) -> dict[str, Any]:
        """Return what is going on: `hosts`, `queues` that have jobs waiting, and how many are `claimed`, `running`, `scheduled`.

        A host has: id, name, instance, state (live or retired), beat_age_s, running, capacity, memory_bytes, version, started_at,
        runners, paused_queues, and by its name each lane as it is configured, with how it does under `state` (LaneStates has the keys,
        of which `running` is a number of jobs here; nothing before the first beat, or of a lane that is gone). A queue has: queue, ready,
        ready_at_least (True: a class of it has more than could be counted, so the number is a lower bound), memory_mb (the memory classes
        of what waits, 0 for none), oldest_age_s. `scheduled` counts up to 10,001; next_due_s is None when nothing is. `claimed` counts
        jobs that a host holds, those running included.
        """
        work = self._read("count_work", {})[0]
        return {"hosts": self.hosts(), "queues": self._read("list_queues", {}), **work}

    def depths(self) -> list[dict[str, Any]]:
        """Return every queue that a job was ever filed under.

        Each has: queue, runners, memory_mb (the memory classes of its jobs, 0 for none), ready, scheduled, retrying (counted up to 10,001;
        the last two among the 10,001 of all queues that are due first, and later_at_least says whether there are more), oldest_age_s
        (of what is ready; None if nothing is).
        """
        return self._read("list_depths", {})

    def failed_share(self) -> float:
        """Return the share of those that failed among up to 10,000 jobs that ended within the last minute; 0 if none did."""
        ended, failed = self._session.fetch("sample_ends")[0]
        return failed / ended if ended else 0.0

    def hosts(self) -> list[dict[str, Any]]:
        """Return the hosts, as status() has them."""
        hosts = self._read("list_hosts", {})
        for host in hosts:
            states = host.pop("lane_states")
            for state in states.values():
                first, last = state.get("running", (1, 0))
                state["running"] = last - first + 1
            places = {name: lane.pop("place", 0) for name, lane in host["lanes"].items()}
            host["lanes"] = {
                name: {**host["lanes"][name], "state": states.get(name, {})} for name in sorted(places, key=places.__getitem__)
            }
        return hosts

    def _add_progress(self, jobs: list[dict[str, Any]]) -> None:
        running = [job["id"] for job in jobs if job["state"] == State.RUNNING]
        said = self._progress.read(running) if running else {}
        for job in jobs:
            progress = said.get(job["id"])
            job["progress"] = None if progress is None else progress._asdict()

    def _read(self, name: str, params: Params) -> list[dict[str, Any]]:
        def unit(connection: DeadlineConnection) -> list[dict[str, Any]]:
            with connection.cursor(row_factory=dict_row) as cursor:
                return cursor.execute(load(name), params).fetchall()

        return self._session.run(unit)
