"""`auto` counts what control groups and CPU affinity leave, not what the machine has."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from farm.config.machine import detect


def make(root: Path, files: dict[str, str]) -> Path:
    for name, text in {"proc/meminfo": "MemTotal:       16000000 kB\nMemFree: 1 kB\n", **files}.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


def test_without_limits_it_is_the_machine(tmp_path: Path) -> None:
    machine = detect(
        make(tmp_path, {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n", "sys/fs/cgroup/cpu.max": "max 100000\n"})
    )
    assert machine.memory_bytes == 16_000_000 * 1024
    assert machine.cores == len(os.sched_getaffinity(0))


def test_the_tightest_limit_on_the_way_up_holds(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "0::/a/b\n",
        "sys/fs/cgroup/a/b/memory.max": "4000000000\n",
        "sys/fs/cgroup/a/memory.max": "1000000000\n",
        "sys/fs/cgroup/a/cpu.max": "50000 100000\n",
    }
    machine = detect(make(tmp_path, files))
    assert machine.memory_bytes == 1_000_000_000
    assert machine.cores == 1


def test_version_1_counts_too_and_its_no_limit_is_none(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "5:cpu,cpuacct:/x\n4:memory:/x\n1:name=systemd:/x\n0::/x\n",
        "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "2000000000\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        "sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us": "100000\n",
        "sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us": "100000\n",
    }
    machine = detect(make(tmp_path, files))
    assert machine.memory_bytes == 2_000_000_000
    assert machine.cores == 1


def test_in_a_container_that_sees_the_path_of_its_host_the_mount_itself_counts(tmp_path: Path) -> None:
    files = {"proc/self/cgroup": "0::/docker/0123\n", "sys/fs/cgroup/memory.max": "3000000000\n"}
    assert detect(make(tmp_path, files)).memory_bytes == 3_000_000_000


@pytest.mark.parametrize("text", ["", "garbage", "0::/../../..\n", "0::\n", "x:y:z\n"])
def test_strange_files_do_no_harm(tmp_path: Path, text: str) -> None:
    machine = detect(make(tmp_path / "root", {"proc/self/cgroup": text, "sys/fs/cgroup/memory.max": "garbage\n"}))
    assert machine.memory_bytes == 16_000_000 * 1024
    assert machine.cores >= 1
