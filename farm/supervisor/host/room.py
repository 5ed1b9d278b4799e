"""What a configuration needs of the machine: open files, and room for rings. Looked at before anything is made by it."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from farm import linux
from farm.config.model import Config, Lane
from farm.errors import FarmError
from farm.shm.failures import failure_file_bytes
from farm.shm.generation import RESULT_RING_BYTES, generation_bytes, ring_file_bytes

OF_EACH_LANE = 2
"""Subworkers beside those that have a post: a spare, and one that was told to end."""
SPARE_GENERATIONS = 2
"""Files of dead subworkers stand until they are buried, beside those of their successors."""
DESCRIPTORS, DESCRIPTORS_A_SUBWORKER = 160, 5
"""Open files of a supervisor: connections, sockets, locks, and numbers up to 100 kept free for children; and for each subworker."""
RUNNER_OPTIONS_BYTES_MAX = 48 << 10
"""They travel in one datagram with each order to fork."""


def check_machine(config: Config, *, beside: int = 0) -> None:
    """Refuse what this machine cannot do, before anything is made. beside: subworkers that are there already. Raises FarmError."""
    subworkers = sum(lane.subworkers for lane in config.lanes)
    needed = descriptors_needed(config.lanes, beside=beside)
    allowed = linux.raise_descriptor_limit(needed)
    if allowed < needed:
        plural = "s need" if subworkers > 1 else " needs"
        raise FarmError(f"{subworkers} subworker{plural} {needed} open files, {allowed} are allowed: raise the limit (ulimit -n {needed})")
    options_bytes = len(orjson.dumps(config.runners))
    if options_bytes > RUNNER_OPTIONS_BYTES_MAX:
        raise FarmError(f"runners: their options are {options_bytes:,} bytes; at most {RUNNER_OPTIONS_BYTES_MAX:,} reach a subworker")


def descriptors_needed(lanes: Sequence[Lane], *, beside: int = 0) -> int:
    """Return how many files a supervisor of these lanes may have open. beside: subworkers that are there already."""
    subworkers = sum(lane.subworkers for lane in lanes)
    return DESCRIPTORS + DESCRIPTORS_A_SUBWORKER * (subworkers + OF_EACH_LANE * len(lanes) + beside)


def rings_bytes(config: Config) -> int:
    """Return what the files of a farm take that is started with this configuration."""
    slots = max(lane.concurrency for lane in config.lanes)
    others = SPARE_GENERATIONS * generation_bytes(slots) + 2 * ring_file_bytes(RESULT_RING_BYTES) + failure_file_bytes()
    return sum(map(_lane_bytes, config.lanes)) + others


def more_rings_bytes(old: Sequence[Lane], new: Sequence[Lane]) -> int:
    """Return what the files of these lanes take beyond those that are there, which stay until their subworkers have ended."""
    before = {lane.name: _lane_bytes(lane) for lane in old}
    return sum(max(0, _lane_bytes(lane) - before.get(lane.name, 0)) for lane in new)


def _lane_bytes(lane: Lane) -> int:
    return (lane.subworkers + OF_EACH_LANE) * generation_bytes(lane.concurrency)
