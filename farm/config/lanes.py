"""Reads `lanes`: their chains of queues, their subworkers, and what each subworker's jobs may allocate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from farm.config.keys import LANES, RECYCLE
from farm.config.machine import Machine
from farm.config.model import ANYTHING, Host, Lane, Recycle
from farm.config.problems import Place
from farm.config.section import Section, check_name, describe
from farm.config.share import LaneDemand, share_memory
from farm.config.surroundings import read_cpus, read_env, read_nice, read_setup
from farm.config.tree import Items, Scalar, Table
from farm.joblog import Logs
from farm.units import format_size

GROWTH_BYTES_MAX, GROWTH_SHARE = 128_000_000, 4
"""Unless it is said otherwise, a subworker is replaced when it has grown by a quarter of its memory, or by this much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A lane as it is written, before the memory is shared out."""

    name: str
    section: Section
    queues: tuple[str, ...]
    concurrency: int
    keep_result: bool
    logs: Logs
    log_limit_bytes: int
    timeout_s: float
    setup: tuple[str, ...]
    env: Mapping[str, str]
    cpus: tuple[int, ...]
    nice: int
    demand: LaneDemand


def read_lanes(top: Section, host: Host, machine: Machine, overcommit: bool) -> tuple[Lane, ...]:
    """Read the section `lanes` of a configuration. Problems are noted."""
    section = top.section("lanes", None)
    asked = [_read_lane(name, entry, machine) for name, entry in section.entries(LANES.keys)]
    if not asked and isinstance(top.node("lanes"), Table):
        top.note("lanes", "expected at least one lane")
    _refuse_twins(asked)
    shares = share_memory([lane.demand for lane in asked], host.memory_bytes)
    if shares.asked_bytes > host.memory_bytes and not overcommit:
        fixed = [lane for lane in asked if lane.demand.memory_bytes is not None]
        greatest = max(fixed, key=lambda lane: (lane.demand.memory_bytes or 0) * lane.demand.subworkers)
        greatest.section.note(
            "memory", f"{shares.arithmetic}, and the host has {format_size(host.memory_bytes)}; or set host.overcommit: true"
        )
    return tuple(
        Lane(
            name=lane.name,
            queues=lane.queues,
            subworkers=subworkers,
            concurrency=lane.concurrency,
            memory_bytes=memory_bytes,
            keep_result=lane.keep_result,
            logs=lane.logs,
            log_limit_bytes=lane.log_limit_bytes,
            timeout_s=lane.timeout_s,
            setup=lane.setup,
            env=lane.env,
            cpus=lane.cpus,
            nice=lane.nice,
            recycle=_read_recycle(lane.section, memory_bytes),
        )
        for lane, (subworkers, memory_bytes) in zip(asked, shares.lanes, strict=True)
    )


def _read_lane(name: str, section: Section, machine: Machine) -> _Asked:
    cpus = read_cpus(section, machine)
    auto_subworkers = section.says("subworkers", "auto")
    subworkers = section.integer("subworkers", auto=min(machine.cores, len(cpus) or machine.cores))
    concurrency = section.integer("concurrency")
    memory_bytes = section.size("memory", auto=0) or None
    demand = LaneDemand(name=name, subworkers=subworkers, may_have_fewer=auto_subworkers, memory_bytes=memory_bytes)
    return _Asked(
        name=name,
        section=section,
        queues=_read_queues(section),
        concurrency=concurrency,
        keep_result=section.boolean("keep_result"),
        logs=Logs(section.choice("logs")),
        log_limit_bytes=section.size("log_limit"),
        timeout_s=section.duration("timeout"),
        setup=read_setup(section),
        env=read_env(section),
        cpus=cpus,
        nice=read_nice(section),
        demand=demand,
    )


def _read_recycle(lane: Section, memory_bytes: int) -> Recycle:
    section = lane.section("recycle", RECYCLE.keys)
    return Recycle(
        max_jobs=section.integer("max_jobs", auto=0),
        rss_growth_bytes=section.size("rss_growth", auto=min(GROWTH_BYTES_MAX, memory_bytes // GROWTH_SHARE)),
        max_age_s=section.duration("max_age"),
    )


def _refuse_twins(lanes: list[_Asked]) -> None:
    """Refuse a lane that says what another says: which of the two a job ran in would be chance, and one lane does the same.

    What their subworkers find around them may be the whole difference, such as other CPUs or, by a variable, another GPU.
    """
    seen: dict[tuple[object, ...], str] = {}
    for lane in lanes:
        around = (lane.cpus, lane.nice, lane.setup, tuple(sorted(lane.env.items())))
        said = (lane.queues, lane.concurrency, lane.demand.memory_bytes, around)
        twin = seen.setdefault(said, lane.name)
        if twin != lane.name and lane.queues:
            lane.section.note("queues", f"the same lane as {twin}: make one of the two, with the subworkers of both")


def _read_queues(section: Section) -> tuple[str, ...]:
    """Read a chain. Each queue stands in it once, and `*` only at its end: what follows `anything` could never be reached."""
    nodes = section.items("queues")
    if section.require("queues") and not nodes and isinstance(section.node("queues"), Items):
        section.note("queues", "expected at least one queue, or '*' for any")
    queues: dict[str, Place] = {}
    for index, node in enumerate(nodes):
        path = f"{section.of('queues')}[{index}]"
        if isinstance(node, Scalar) and node.refused:
            continue
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            section.problems.add(node.place, path, f"expected the name of a queue, got {describe(node)}")
            continue
        queue = node.value
        complaint = None if queue == ANYTHING else check_name(queue, describe(node))
        if queue in queues:
            complaint = f"{describe(node)} stands in this chain already"
        elif queue == ANYTHING and index != len(nodes) - 1:
            complaint = "'*' takes from any queue, so it can only be the last one"
        if complaint is not None:
            section.problems.add(node.place, path, complaint)
        queues.setdefault(queue, node.place)
    return tuple(queues)
