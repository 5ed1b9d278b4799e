"""Every configuration that comes with farm loads, and says what its comments say."""

from __future__ import annotations

from pathlib import Path

import pytest

from farm.config import load
from farm.config.machine import Machine

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.name)
def test_it_loads_and_all_of_it_is_commented(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    lanes = "fast_lane:1 manual>*:4" if file.stem == "one-line" else None
    load(file, environ={}, lanes=lanes, machine=Machine(cores=2, memory_bytes=4_000_000_000))
    blocks = [block for block in file.read_text().split("\n\n") if block.strip()]
    assert all(block.lstrip().startswith("#") for block in blocks)


def test_the_quickstart_is_what_the_defaults_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    config = load(ROOT / "configs/quickstart.yaml", environ={}, machine=Machine(cores=8, memory_bytes=32_000_000_000))
    assert config.database.kind == "embedded"
    assert config.runners == {"python": {"allow": ["farm.demo:*", "operator:*"], "path": [str(ROOT)]}}
    assert [(lane.name, lane.queues, lane.subworkers) for lane in config.lanes] == [("default", ("*",), 8)]
    assert (config.writer.batch_max, config.writer.age_max_s, config.drain_timeout_s) == (4000, 0.050, 30.0)
