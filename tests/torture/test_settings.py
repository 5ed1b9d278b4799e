"""What the configurations of the torture's hosts are changed to: they must be right or wrong as they are meant to be."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import yaml

from farm.config.changes import How, changes, settings
from farm.config.loader import load
from farm.config.model import Config
from farm.errors import ConfigError
from tests.torture.settings import SETTINGS, WRONG, spoiled, varied

DSN = "postgresql:///torture"


def loaded(path: Path, text: str) -> Config:
    path.write_text(text)
    return load(path, dsn=DSN, environ={})


def test_a_farm_can_go_on_by_every_variant(tmp_path: Path) -> None:
    path = tmp_path / "host.yaml"
    before = settings(loaded(path, yaml.safe_dump(SETTINGS)))
    variants = [yaml.safe_dump(varied(SETTINGS, random.Random(seed)), sort_keys=False) for seed in range(30)]
    for text in variants:
        made = changes(before, settings(loaded(path, text)))
        assert made
        assert not any(change.how is How.RESTART for change in made)
    assert len(set(variants)) == len(variants)


def test_what_is_wrong_is_refused(tmp_path: Path) -> None:
    """When it is read, or since it cannot be changed."""
    path = tmp_path / "host.yaml"
    before = settings(loaded(path, yaml.safe_dump(SETTINGS)))
    texts = {spoiled(SETTINGS, random.Random(seed)) for seed in range(100)}
    assert len(texts) == len(WRONG)
    for text in texts:
        try:
            config = loaded(path, text)
        except ConfigError:
            continue
        assert any(change.how is How.RESTART for change in changes(before, settings(config))), text


@pytest.mark.parametrize("seed", [1, 2])
def test_a_variant_follows_from_its_draws(seed: int) -> None:
    assert varied(SETTINGS, random.Random(seed)) == varied(SETTINGS, random.Random(seed))
