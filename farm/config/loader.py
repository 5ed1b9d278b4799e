"""Reads a configuration file into a Config: everything checked, every problem said at once."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import runners
from farm.config.database import choose_database, read_database
from farm.config.keys import AUTO, CONFIG, HOST, METRICS, RETENTION, SPILL, WRITER
from farm.config.lanes import read_lanes
from farm.config.machine import Machine, detect
from farm.config.model import CONNECT_S_MAX, GATE_SHARE, RECONNECT_PAUSE_S_MAX, Config, Database, Host, LanesSource, Metrics, WriterOptions
from farm.config.oneline import FLAG, VARIABLE, read_one_line
from farm.config.problems import START, Problems, did_you_mean
from farm.config.section import Section, check_name, describe, filled_in, has_refused, plain
from farm.config.source import read_source
from farm.config.tasks import read_tasks
from farm.config.tree import Items, Node, Scalar, Table, read_tree
from farm.errors import RunnerError
from farm.model import Retention
from farm.ports import Runner
from farm.units import format_duration, format_size

INSTANCE_DEFAULT = "default"
FLOOR_PERCENT, FLOOR_BYTES_MAX = 5, 512_000_000
"""Of the machine, whatever host.memory says: the floor is compared with what the whole machine has left."""

# The relations that PROTOCOL section 6 asks for, at the defaults: a host that lost only its connection gets it back within a lease.
assert RECONNECT_PAUSE_S_MAX + CONNECT_S_MAX + 1.0 < 10.0
# The same for every other lease: pause and connect take at most half of it (see Config), and heartbeat < lease / 2 is checked below.
assert GATE_SHARE < 1.0


def load(
    path: str | os.PathLike[str],
    *,
    dsn: str | None = None,
    lanes: str | None = None,
    to_run: bool = True,
    environ: Mapping[str, str] | None = None,
    machine: Machine | None = None,
) -> Config:
    """Read a configuration file.

    `dsn` is what --dsn said, lanes what --lanes said; environ (os.environ) may hold FARM_DSN and FARM_LANES; machine (this one) gives
    `auto` its meaning. to_run: False for a command that only asks the file where the jobs are: it need not name lanes then.
    Raises ConfigError with every problem found, each as `file:line:column: path: message`.
    """
    file = os.fspath(path)
    environ = os.environ if environ is None else environ
    one_line = _choose_lanes(lanes, environ) if to_run else None
    text = read_source(file)
    problems = Problems(file)
    root = read_tree(text, problems, environ)
    if root is None:
        if not problems.lines():
            problems.add(START, "", f"the file is empty: expected a mapping with {', '.join(list(CONFIG.keys)[:4])}")
        problems.raise_if_any()
    if one_line is not None:
        _put_in(one_line, root, problems)
    top = Section(root, "", problems, START, CONFIG.keys)
    if to_run and one_line is None and not top.has("lanes"):
        top.missing("lanes", f"; or give {FLAG}, such as {FLAG} 'fast:1 manual>*:4'")
    config = _read(file, top, dsn, environ, machine or detect())
    return config if one_line is None else replace(config, lanes_source=one_line.source)


class _OneLine(NamedTuple):
    """Lanes that were not named in the file."""

    source: LanesSource
    lanes: Table


def _choose_lanes(lanes: str | None, environ: Mapping[str, str]) -> _OneLine | None:
    """Return what --lanes says, else what FARM_LANES says. An empty variable is none."""
    if lanes is not None:
        return _OneLine(FLAG, read_one_line(lanes, FLAG))
    text = environ.get(VARIABLE, "")
    return _OneLine(VARIABLE, read_one_line(text, VARIABLE)) if text.strip() else None


def _put_in(one_line: _OneLine, root: Node | None, problems: Problems) -> None:
    """Let the file say what the one-line form says. A file with lanes of its own may not be meant: neither is preferred."""
    if not isinstance(root, Table):
        return
    if "lanes" in root.keys:
        drop = "leave --lanes out" if one_line.source == FLAG else f"unset {VARIABLE}"
        problems.add(root.keys["lanes"], "lanes", f"{one_line.source} says which lanes there are, too: {drop}, or drop these")
        return
    root.keys["lanes"], root.nodes["lanes"] = START, one_line.lanes


def _read(file: str, top: Section, dsn: str | None, environ: Mapping[str, str], machine: Machine) -> Config:
    node = top.node("database")
    configured = read_database(node, top.problems)
    # One that is wrong has been noted: FARM_DSN must not be looked at in its stead.
    database = choose_database(dsn, configured or (Database(kind="embedded") if node else None), environ)
    host, overcommit = _read_host(top, machine)
    config = Config(
        path=file,
        database=database,
        host=host,
        runners=_read_runners(top),
        lanes=read_lanes(top, host, machine, overcommit),
        tasks=read_tasks(top),
        writer=_read_writer(top.section("writer", WRITER.keys)),
        drain_timeout_s=top.duration("drain_timeout"),
        heartbeat_s=top.duration("heartbeat"),
        lease_s=top.duration("lease"),
        reap_every_s=top.duration("reap_every"),
        poll_s=top.duration("poll"),
        claim_max=top.integer("claim_max"),
        spill_bytes_max=top.section("spill", SPILL.keys).size("max"),
        retention=_read_retention(top.section("retention", RETENTION.keys)),
        metrics=_read_metrics(top),
    )
    _check_times(config, top)
    top.problems.raise_if_any()
    return config


def _read_host(top: Section, machine: Machine) -> tuple[Host, bool]:
    section = top.section("host", HOST.keys)
    overcommit = section.boolean("overcommit")
    name = INSTANCE_DEFAULT if section.says("name", "auto") else section.text("name")
    node = section.node("name")
    if name is not None and node is not None and (complaint := check_name(name, describe(node))) is not None:
        section.note("name", complaint)
    memory_bytes = section.size("memory", auto=machine.memory_bytes)
    if memory_bytes > machine.memory_bytes and not overcommit:
        section.note("memory", f"this machine has {format_size(machine.memory_bytes)}; or set host.overcommit: true")
    host = Host(
        name=name or INSTANCE_DEFAULT,
        memory_bytes=memory_bytes,
        memory_floor_bytes=section.size("memory_floor", auto=min(FLOOR_BYTES_MAX, machine.memory_bytes * FLOOR_PERCENT // 100)),
        pressure_percent=section.percent("pressure"),
        cgroup=section.choice("cgroup") == AUTO,
    )
    return host, overcommit


def _read_runners(top: Section) -> dict[str, dict[str, Any]]:
    """Let every runner check its own section."""
    section = top.section("runners", None)
    configured: dict[str, dict[str, Any]] = {}
    for name, entry in section.entries(None):
        try:
            runner = runners.load(name)
        except KeyError:
            known = sorted(runners.BUILTIN)
            entry.problems.add(entry.key_place, entry.path, f"unknown runner{did_you_mean(name, known)} (there are: {', '.join(known)})")
            continue
        node = section.node(name)
        if not isinstance(node, Table) or has_refused(node) or not _knows_options(entry, node, runner):
            continue
        try:
            configured[name] = runner.configure(plain(node))
        except RunnerError as error:
            _note_runner_error(entry, node, error)
    node = top.node("runners")
    if top.require("runners") and isinstance(node, Table) and not node.keys:
        top.note("runners", "expected at least one runner: without one no lane can run anything")
    return configured


def _knows_options(section: Section, node: Table, runner: type[Runner]) -> bool:
    """Note the options that the runner has not; say whether there is none of them."""
    unknown = [option for option in node.keys if option not in runner.options]
    for option in unknown:
        known = f"the {runner.name} runner has {', '.join(runner.options)}"
        section.problems.add(node.keys[option], section.of(option), f"unknown option{did_you_mean(option, runner.options)} ({known})")
    return not unknown


def _note_runner_error(section: Section, section_node: Node, error: RunnerError) -> None:
    """Point at the option that the runner complains of, such as `allow` or `allow[2]`; at its whole section otherwise."""
    node, place = section_node, section_node.place
    for step in re.findall(r"[^.\[\]]+", error.option):
        if isinstance(node, Table) and step in node.nodes:
            place, node = node.keys[step], node.nodes[step]
        elif isinstance(node, Items) and step.isdigit() and int(step) < len(node.nodes):
            node = node.nodes[int(step)]
            place = node.place
    path = f"{section.path}.{error.option}" if error.option else section.path
    section.problems.add(place, path, _with_names(str(error), filled_in(section_node)))


def _with_names(message: str, scalars: list[Scalar]) -> str:
    """Return a runner's message with the names of variables in the place of what they hold: a runner shows what it was given."""
    for scalar in sorted(scalars, key=lambda scalar: -len(str(scalar.value))):
        for text in (str(scalar.value), repr(scalar.value)[1:-1]):
            message = message.replace(text, scalar.raw) if text else message
    return message


def _read_writer(section: Section) -> WriterOptions:
    return WriterOptions(
        batch_max=section.integer("batch_max"),
        age_max_s=section.duration("age_max"),
    )


def _read_retention(section: Section) -> Retention:
    failed_s = section.duration("failed") or None
    cancelled_s = section.duration("cancelled") or None if section.has("cancelled") else failed_s
    return Retention(section.duration("succeeded") or None, failed_s, cancelled_s)


def _read_metrics(top: Section) -> Metrics | None:
    section = top.section("metrics", METRICS.keys)
    host, port = section.address("host"), section.integer("port")
    return Metrics(host=host, port=port) if top.has("metrics") else None


def _check_times(config: Config, top: Section) -> None:
    """Check the relations between the times: with wrong ones a healthy host would be taken for a dead one."""
    half = config.lease_s / 2
    if config.heartbeat_s >= half:
        top.note(
            "heartbeat", f"must be less than half of lease ({format_duration(config.lease_s)}), or one late beat loses the host its jobs"
        )
    if config.reap_every_s > half:
        top.note(
            "reap_every", f"must be at most half of lease ({format_duration(config.lease_s)}): a tick counts as late after two of them"
        )
    if config.poll_s > config.lease_s:
        top.note("poll", f"must be at most lease ({format_duration(config.lease_s)})")
