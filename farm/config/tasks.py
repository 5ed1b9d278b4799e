"""Reads `tasks`: what holds for the tasks that a pattern matches."""

from __future__ import annotations

from farm.config.keys import TASKS
from farm.config.section import Section
from farm.retry import Backoff, Policy

TEXT_CHARS_MAX = 16_384
"""Patterns and names of errors together: they travel to the writer in one datagram."""


def read_tasks(top: Section) -> tuple[Policy, ...]:
    """Read the section `tasks` of a configuration. Problems are noted."""
    section = top.section("tasks", None)
    policies = tuple(_read_policy(pattern, entry) for pattern, entry in section.patterns(TASKS.keys))
    characters = sum(len(policy.pattern) + sum(map(len, policy.final_errors or ())) for policy in policies)
    if characters > TEXT_CHARS_MAX:
        top.note("tasks", f"expected at most {TEXT_CHARS_MAX:,} characters of patterns and names of errors, got {characters:,}")
    return policies


def _read_policy(pattern: str, section: Section) -> Policy:
    return Policy(
        pattern=pattern,
        retry=Backoff(*section.pause("retry")) if section.has("retry") else None,
        max_attempts=section.integer("max_attempts") if section.has("max_attempts") else None,
        timeout_s=section.duration("timeout") if section.has("timeout") else None,
        final_errors=section.names("final_errors") if section.has("final_errors") else None,
    )
