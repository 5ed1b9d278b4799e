"""Reads `tasks`: what holds for the tasks that a pattern matches."""

from __future__ import annotations

import orjson

from farm.config.keys import TASKS
from farm.config.section import Section
from farm.retry import Backoff, Policy

POLICIES_BYTES_MAX = 48 << 10
"""As JSON: they travel to the writer in one datagram, with the DSN and some paths."""


def read_tasks(top: Section) -> tuple[Policy, ...]:
    """Read the section `tasks` of a configuration. Problems are noted."""
    section = top.section("tasks", None)
    policies = tuple(_read_policy(pattern, entry) for pattern, entry in section.patterns(TASKS.keys))
    size = len(orjson.dumps([policy.as_data() for policy in policies]))
    if size > POLICIES_BYTES_MAX:
        top.note("tasks", f"expected at most {POLICIES_BYTES_MAX:,} bytes of policies (some 500 patterns), got {size:,}")
    return policies


def _read_policy(pattern: str, section: Section) -> Policy:
    return Policy(
        pattern=pattern,
        retry=Backoff(*section.pause("retry")) if section.has("retry") else None,
        max_attempts=section.integer("max_attempts") if section.has("max_attempts") else None,
        timeout_s=section.duration("timeout") if section.has("timeout") else None,
        final_errors=section.names("final_errors") if section.has("final_errors") else None,
    )
