"""What the documentation shows is what farm says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from farm.config import load
from farm.config.machine import Machine
from farm.errors import ConfigError

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"


def test_the_wrong_file_is_told_as_documented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = re.search(r"```yaml\n(database: embeded\n.*?)```\n\n`farm config check` says\n\n```\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert shown is not None
    monkeypatch.chdir(tmp_path)
    Path("wrong.yaml").write_text(shown[1])
    with pytest.raises(ConfigError) as caught:
        load("wrong.yaml", environ={}, machine=Machine(cores=2, memory_bytes=25_300_000_000))
    assert list(caught.value.problems) == shown[2].splitlines()


def test_the_sum_of_memory_is_told_as_documented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = next(line for line in DOCUMENT.read_text().splitlines() if line.startswith("mem.yaml:"))
    monkeypatch.chdir(tmp_path)
    Path("mem.yaml").write_text("runners: {python: {}}\n\nlanes:\n  a: {queues: [x], subworkers: 2, memory: 4GB}\n")
    with pytest.raises(ConfigError) as caught:
        load("mem.yaml", environ={}, machine=Machine(cores=2, memory_bytes=8_000_000_000))
    assert [re.sub(r":\d+:\d+:", ":", problem) for problem in caught.value.problems] == [re.sub(r":\d+:\d+:", ":", line)]
