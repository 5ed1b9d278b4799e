"""What the lanes may come to together, against what their host has: the table that is shown before anything runs. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from farm.config.model import Config
from farm.config.share import SPARE
from farm.units import format_size

OF_THE_FARM = 3
"""Processes beside subworkers: supervisor, writer, zygote."""
OF_ONE = "5 to 35 MB each"
"""Measured (proportional set size): an idle subworker with the runner `python` holds 6 MB, the writer 26, the supervisor 32."""
GAP = "  "


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneBudget:
    """What one lane may come to: all of its subworkers at their limit, the spare in the place of one that is not gone yet."""

    name: str
    subworkers: int
    memory_bytes: int
    """Of each of them."""

    @property
    def sum_bytes(self) -> int:
        """Return the most that its jobs may hold together."""
        return (self.subworkers + SPARE) * self.memory_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What all lanes may come to."""

    lanes: tuple[LaneBudget, ...]
    host_bytes: int

    @property
    def sum_bytes(self) -> int:
        """Return the most that all jobs may hold together."""
        return sum(lane.sum_bytes for lane in self.lanes)

    @property
    def fits(self) -> bool:
        """Say whether the host has so much."""
        return self.sum_bytes <= self.host_bytes

    @property
    def percent(self) -> int:
        """Return the sum in percent of what the host has; never 100 for more than there is."""
        percent = round(self.sum_bytes * 100 / self.host_bytes)
        return percent if self.fits else max(percent, 101)

    @property
    def processes(self) -> int:
        """Return how many processes there are while nobody ends."""
        return sum(lane.subworkers + SPARE for lane in self.lanes) + OF_THE_FARM

    @property
    def headline(self) -> str:
        """Say it in one line: `memory of all lanes: 5.12 GB of 16 GB, 32 %`."""
        return f"memory of all lanes: {format_size(self.sum_bytes)} of {format_size(self.host_bytes)}, {self.percent} %"

    def rows(self) -> list[str]:
        """Return the table as aligned lines: a head, a row for each lane, the total, and what is not in it."""
        head = ("LANE", "SUBWORKERS", "SPARE", "MEMORY EACH", "TOGETHER")
        lanes = [
            (lane.name, str(lane.subworkers), f"+ {SPARE}", format_size(lane.memory_bytes), format_size(lane.sum_bytes))
            for lane in self.lanes
        ]
        subworkers = sum(lane.subworkers for lane in self.lanes)
        total = ("all", str(subworkers), f"+ {SPARE * len(self.lanes)}", "", format_size(self.sum_bytes))
        lines = _aligned([head, *lanes, total])
        lines[-1] += f"{GAP}{self.percent} % of {format_size(self.host_bytes)}"
        beside = f"{self.processes} processes before they run anything ({OF_ONE}, and what your modules need), PostgreSQL"
        return [*lines, f"not in it: {beside}"]

    def as_data(self) -> dict[str, Any]:
        """Return it for a log that programs read."""
        lanes = [
            {
                "name": lane.name,
                "subworkers": lane.subworkers,
                "spare": SPARE,
                "memory_bytes": lane.memory_bytes,
                "sum_bytes": lane.sum_bytes,
            }
            for lane in self.lanes
        ]
        return {"lanes": lanes, "sum_bytes": self.sum_bytes, "host_bytes": self.host_bytes, "percent": self.percent}


def budget_of(config: Config) -> Budget:
    """Add up what the lanes of a configuration may come to."""
    lanes = (LaneBudget(name=lane.name, subworkers=lane.subworkers, memory_bytes=lane.memory_bytes) for lane in config.lanes)
    return Budget(lanes=tuple(lanes), host_bytes=config.host.memory_bytes)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Align columns: the first to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        GAP.join(
            cell.rjust(width) if index else cell.ljust(width) for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
