"""Reads what a lane's subworkers find around them: functions to call first, environment variables, the CPUs that they may run on."""

from __future__ import annotations

import re

from farm.config.machine import Machine, can_take_nice
from farm.config.section import Section, describe, value_of
from farm.config.tree import Items, Node, Scalar, Table
from runners.python import TASK

VARIABLE_PATTERN = r"[A-Za-z_][A-Za-z0-9_]*"
ENV_BYTES_MAX = 16 << 10
SETUP_MAX = 50
"""Both travel in one datagram with each order to fork."""

_VARIABLE = re.compile(VARIABLE_PATTERN, re.ASCII)


def read_setup(section: Section) -> tuple[str, ...]:
    """Read `setup`: one function, or a list of them. Whether they are there, only a subworker can tell."""
    node = section.node("setup")
    listed = isinstance(node, Items)
    if listed and not section.items("setup"):
        section.note("setup", "expected at least one 'module:function'")
    nodes = section.items("setup") if isinstance(node, Items) else [node] if node is not None else []
    if len(nodes) > SETUP_MAX:
        section.note("setup", f"expected at most {SETUP_MAX} functions, got {len(nodes)}")
    functions: list[str] = []
    for index, entry in enumerate(nodes):
        function = entry.value if isinstance(entry, Scalar) else None
        complaint = None
        if not isinstance(function, str) or TASK.fullmatch(function) is None:
            complaint = f"expected 'module:function', got {describe(entry)}"
        elif function in functions:
            complaint = f"{describe(entry)} stands in this list already"
        else:
            functions.append(function)
        if complaint is not None:
            _note(section, entry, f"setup[{index}]" if listed else "setup", complaint)
    return tuple(functions)


def read_env(section: Section) -> dict[str, str]:
    """Read `env`. A number is taken as it is written; true, null and the like could be meant in more than one way."""
    inner = section.section("env", None)
    table = section.node("env")
    variables: dict[str, str] = {}
    if not isinstance(table, Table):
        return variables
    for name, value in table.nodes.items():
        if _VARIABLE.fullmatch(name) is None:
            inner.problems.add(
                table.keys[name], inner.of(name), "expected a name of letters, digits and _ that does not begin with a digit"
            )
        elif isinstance(value, Scalar) and isinstance(value.value, str):
            variables[name] = value.value
        elif isinstance(value, Scalar) and type(value.value) in (int, float):
            variables[name] = value.raw
        else:
            hint = "" if not isinstance(value, Scalar) else "; quote it" if value.raw else "; write '' for an empty one"
            _note(inner, value, name, f"expected text, got {describe(value)}{hint}")
    size = sum(len(name.encode()) + len(value.encode()) + 2 for name, value in variables.items())
    if size > ENV_BYTES_MAX:
        section.note("env", f"expected at most {ENV_BYTES_MAX:,} bytes of variables, got {size:,}")
    return variables


def read_cpus(section: Section, machine: Machine) -> tuple[int, ...]:
    """Read `cpus`: each must be one that this process may run on."""
    nodes = section.items("cpus")
    if not nodes and isinstance(section.node("cpus"), Items):
        section.note("cpus", f"expected at least one number of a CPU ({_among(machine)})")
    cpus: list[int] = []
    for index, node in enumerate(nodes):
        cpu = value_of(node) if isinstance(node, Scalar) else None
        complaint = None
        if type(cpu) is not int or cpu < 0:
            complaint = f"expected the number of a CPU, got {describe(node)}"
        elif cpu in cpus:
            complaint = f"{cpu} stands in this list already"
        elif cpu not in machine.cpus:
            complaint = f"there is no CPU {cpu} that farm may use ({_among(machine)})"
        else:
            cpus.append(cpu)
        if complaint is not None:
            _note(section, node, f"cpus[{index}]", complaint)
    return tuple(cpus)


def read_nice(section: Section) -> int:
    """Read `nice`; less than 0 needs a right that this process has."""
    nice = section.integer("nice")
    if nice < 0 and not can_take_nice(nice):
        section.note("nice", f"{nice} needs the right to raise priorities (root, CAP_SYS_NICE or ulimit -e), which this process has not")
    return nice


def _note(section: Section, node: Node, key: str, message: str) -> None:
    """Note what is wrong with one value, unless it has been refused already."""
    if not (isinstance(node, Scalar) and node.refused):
        section.problems.add(node.place, section.of(key), message)


def _among(machine: Machine) -> str:
    """Name the CPUs that there are, runs of them in one: `there are: 0-3, 8`."""
    runs: list[list[int]] = []
    for cpu in sorted(machine.cpus):
        if runs and cpu == runs[-1][1] + 1:
            runs[-1][1] = cpu
        else:
            runs.append([cpu, cpu])
    return "there are: " + ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)
