"""Every metric of a farm, declared once: its name, what it counts, and by what. docs/metrics.md shows the same, which a test looks at."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from farm.spread import JOB_BOUNDS_S


class Kind(StrEnum):
    """As Prometheus has them."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Family(NamedTuple):
    """One metric."""

    name: str
    kind: Kind
    about: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    """Of a histogram: upper bounds, without the infinite one."""


TIME_BOUNDS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
"""Some of those of farm.spread, as all of the next."""
SIZE_BOUNDS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10_000.0)

_COUNTER, _GAUGE, _HISTOGRAM = Kind

INFO = Family("farm_info", _GAUGE, "1, with the version and the instance that this is.", ("farm", "version"))
STARTED = Family("farm_start_time_seconds", _GAUGE, "When this farm was started, in seconds since 1970.")
READY = Family("farm_ready", _GAUGE, "1 if /readyz says that the farm takes work.")
HEALTHY = Family("farm_healthy", _GAUGE, "1 if /healthz says that work makes progress, or that there is none.")
DRAINING = Family("farm_draining", _GAUGE, "1 while the farm drains.")

JOBS = Family("farm_jobs_total", _COUNTER, "Attempts that have ended on this host, by what they came to.", ("lane", "task", "outcome"))
RUN = Family("farm_job_duration_seconds", _HISTOGRAM, "How long jobs ran, from start to end.", ("lane", "task"), JOB_BOUNDS_S)
QUEUED = Family(
    "farm_job_queue_time_seconds",
    _HISTOGRAM,
    "How long jobs had waited when they were started: first attempts of jobs that were to run at once.",
    ("lane", "task"),
    JOB_BOUNDS_S,
)

DEPTH = Family(
    "farm_queue_depth",
    _GAUGE,
    "Jobs of a queue that could be started now, of the whole database. Above 10,000 of a class it is a lower bound.",
    ("queue",),
)
OLDEST = Family("farm_queue_oldest_seconds", _GAUGE, "How long the first of them has waited.", ("queue",))
DEPTH_AGE = Family("farm_queue_depth_age_seconds", _GAUGE, "How long ago the queues were counted: one host at a time does that.")

CAPACITY = Family("farm_lane_capacity", _GAUGE, "Jobs that a lane can run at once.", ("lane",))
BUSY = Family("farm_lane_busy", _GAUGE, "Jobs that run in a lane.", ("lane",))
BUFFERED = Family("farm_lane_buffered", _GAUGE, "Jobs that a lane has claimed and not started.", ("lane",))
HELD = Family("farm_lane_held", _GAUGE, "1 while a lane claims nothing for this reason.", ("lane", "reason"))
PAUSED = Family("farm_lane_paused", _GAUGE, "1 while a lane is paused by hand.", ("lane",))
SUBWORKERS = Family("farm_lane_subworkers", _GAUGE, "Subworkers of a lane that serve.", ("lane",))
WANTED = Family("farm_lane_subworkers_wanted", _GAUGE, "Subworkers that a lane should have.", ("lane",))
STOLEN = Family("farm_lane_jobs_moved", _GAUGE, "Jobs that came from other lanes' hands, less those that went there.", ("lane",))
LANE_CLAIMS = Family("farm_lane_claims_total", _COUNTER, "Claims for a lane, those that brought nothing included.", ("lane",))
LANE_EMPTY = Family("farm_lane_claims_empty_total", _COUNTER, "Claims for a lane that brought nothing.", ("lane",))
LANE_CLAIMED = Family("farm_lane_claimed_jobs_total", _COUNTER, "Jobs claimed for a lane.", ("lane",))

CLAIM_TIME = Family(
    "farm_claim_duration_seconds", _HISTOGRAM, "How long claims took: the statement, and reading what it brought.", (), TIME_BOUNDS_S
)
CLAIM_SIZE = Family("farm_claim_batch_size", _HISTOGRAM, "Jobs of each claim that brought any.", (), SIZE_BOUNDS)

FLUSH_TIME = Family("farm_writer_flush_seconds", _HISTOGRAM, "How long the writer's commits took.", (), TIME_BOUNDS_S)
FLUSH_SIZE = Family("farm_writer_batch_size", _HISTOGRAM, "Outcomes of each commit.", (), SIZE_BOUNDS)
BACKLOG = Family("farm_writer_backlog", _GAUGE, "Jobs that have ended and whose outcome is not committed.")
OUTCOMES = Family(
    "farm_writer_outcomes_total",
    _COUNTER,
    "Outcomes by what the commit did with them: written, or dropped by the fence (stale: the lease was gone).",
    ("fate",),
)
RETRIES = Family("farm_writer_retries_total", _COUNTER, "Commits that did not reach the database, and were tried again.")
FAILING = Family("farm_writer_failing_seconds", _GAUGE, "For how long commits have failed; 0 while they succeed.")

RING_FILL = Family("farm_ring_fill_ratio", _GAUGE, "How full the fullest ring of a lane is, 0 to 1.", ("lane", "ring"))

RSS = Family("farm_subworker_rss_bytes", _GAUGE, "What a subworker has in memory, shared pages included.", ("lane", "subworker"))
LIMIT = Family("farm_subworker_limit_bytes", _GAUGE, "What a subworker may have before it is ended.", ("lane", "subworker"))
RESTARTS = Family(
    "farm_subworker_restarts_total", _COUNTER, "Subworkers that had, or were to have, a successor, by the reason.", ("lane", "reason")
)
PROCESS_RSS = Family("farm_process_rss_bytes", _GAUGE, "What farm's own processes have in memory.", ("process",))
PROCESS_CPU = Family("farm_process_cpu_seconds_total", _COUNTER, "CPU time of farm's own processes.", ("process",))
THREAD_FAILURES = Family("farm_thread_failures_total", _COUNTER, "Steps of the supervisor's threads that failed.", ("thread",))

UP = Family("farm_database_up", _GAUGE, "1 while the database answers this host's heartbeat.")
LATENCY = Family("farm_database_latency_seconds", _GAUGE, "How long the last good heartbeat took to be answered.")
BEATS = Family("farm_heartbeats_total", _COUNTER, "Heartbeats that were answered.")
OUTAGES = Family("farm_database_outages_total", _COUNTER, "How often the database went away.")
OUTAGE_TIME = Family("farm_database_outage_seconds_total", _COUNTER, "For how long it was away in all, the outage of now included.")
HORIZON = Family(
    "farm_database_horizon_age_seconds", _GAUGE, "Age of the oldest thing that keeps PostgreSQL from cleaning up; 0: there is none."
)

HOSTS_RETIRED = Family("farm_hosts_retired_total", _COUNTER, "Other hosts that this one has declared dead.")
LEASES_REAPED = Family("farm_leases_reaped_total", _COUNTER, "Leases of dead hosts that this host has ended.")
REAPED = Family("farm_jobs_reaped_total", _COUNTER, "Jobs that this host has taken back from leases of dead hosts.")
PROMOTED = Family("farm_jobs_promoted_total", _COUNTER, "Scheduled jobs that this host has made ready.")
EXPIRED = Family("farm_jobs_expired_total", _COUNTER, "Jobs that this host has ended because they had expired.")
COMMITS_ENDED = Family("farm_stuck_commits_ended_total", _COUNTER, "Commits of dead writers that this host has ended.")

SCRAPE = Family("farm_scrape_seconds", _GAUGE, "How long the page before this one took to be made.")

FAMILIES: tuple[Family, ...] = (
    *(INFO, STARTED, READY, HEALTHY, DRAINING),
    *(JOBS, RUN, QUEUED),
    *(DEPTH, OLDEST, DEPTH_AGE),
    *(CAPACITY, BUSY, BUFFERED, HELD, PAUSED, SUBWORKERS, WANTED, STOLEN, LANE_CLAIMS, LANE_EMPTY, LANE_CLAIMED),
    *(CLAIM_TIME, CLAIM_SIZE),
    *(FLUSH_TIME, FLUSH_SIZE, BACKLOG, OUTCOMES, RETRIES, FAILING),
    RING_FILL,
    *(RSS, LIMIT, RESTARTS, PROCESS_RSS, PROCESS_CPU, THREAD_FAILURES),
    *(UP, LATENCY, BEATS, OUTAGES, OUTAGE_TIME, HORIZON),
    *(HOSTS_RETIRED, LEASES_REAPED, REAPED, PROMOTED, EXPIRED, COMMITS_ENDED),
    SCRAPE,
)
"""In the order of the page."""
