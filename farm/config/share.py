"""Shares out a host's memory among the subworkers of its lanes. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from farm.units import format_size

AUTO_BYTES_MAX = 512_000_000
AUTO_BYTES_MIN = 128_000_000
HOST_SHARE_PERCENT = 80
"""What `auto` gives away; the rest is for the supervisor, the writer, PostgreSQL and the interpreters themselves."""
SPARE = 1
"""Every lane has a spare subworker. It may already run a job while the one that was told to end, whose place it took, is still there.
The crew lets no more end at once, and makes another spare, which has no job and holds nothing but its interpreter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneDemand:
    """What a lane asks for; memory_bytes is per subworker, None for `auto`."""

    name: str
    subworkers: int
    may_have_fewer: bool
    memory_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """What each lane gets, as (subworkers, memory_bytes), and the sum of what was asked for explicitly."""

    lanes: list[tuple[int, int]]
    asked_bytes: int
    arithmetic: str


def share_memory(demands: Sequence[LaneDemand], host_bytes: int) -> Shares:
    """Give every lane what it asks for, and lanes with `auto` an equal share of 80 % of what is left, 128 to 512 MB a subworker.

    Where 128 MB each are not there, lanes with `auto` subworkers get fewer of them, one at least: automatic figures always fit or
    are as small as they can be. Whether the explicit ones fit is for the caller to judge.
    """
    asked_bytes, arithmetic = _explicit(demands)
    left_bytes = host_bytes * HOST_SHARE_PERCENT // 100 - asked_bytes
    counts = _fewer(demands, left_bytes)
    automatic = sum(count + SPARE for demand, count in zip(demands, counts, strict=True) if demand.memory_bytes is None)
    share = max(AUTO_BYTES_MIN, min(AUTO_BYTES_MAX, left_bytes // max(1, automatic)))
    lanes = [(count, demand.memory_bytes or share) for demand, count in zip(demands, counts, strict=True)]
    return Shares(lanes=lanes, asked_bytes=asked_bytes, arithmetic=arithmetic)


def _explicit(demands: Sequence[LaneDemand]) -> tuple[int, str]:
    """Add up what is asked for explicitly, with the spare of each lane."""
    fixed = [(demand.name, demand.subworkers, demand.memory_bytes) for demand in demands if demand.memory_bytes is not None]
    if not fixed:
        return 0, ""
    total = sum((subworkers + SPARE) * memory_bytes for _, subworkers, memory_bytes in fixed)
    terms = " + ".join(f"{subworkers + SPARE} x {format_size(memory_bytes)} ({name})" for name, subworkers, memory_bytes in fixed)
    return total, f"{terms}, with a spare subworker in each lane = {format_size(total)}"


def _fewer(demands: Sequence[LaneDemand], left_bytes: int) -> list[int]:
    """Return the subworkers of each lane, fewer where `auto` may have fewer and the memory is short."""
    counts = [demand.subworkers for demand in demands]
    shrinkable = [index for index, demand in enumerate(demands) if demand.may_have_fewer and demand.memory_bytes is None]
    automatic = [index for index, demand in enumerate(demands) if demand.memory_bytes is None]
    while sum(counts[index] + SPARE for index in automatic) * AUTO_BYTES_MIN > left_bytes:
        greatest = max(shrinkable, key=lambda index: counts[index], default=None)
        if greatest is None or counts[greatest] <= 1:
            break
        counts[greatest] -= 1
    return counts
