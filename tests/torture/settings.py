"""The configuration of a host of the torture, and what it is changed to while it runs: right ones, and wrong ones."""

from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import Any

import yaml

TASKS = Path(__file__).parent / "tasks"
Settings = dict[str, Any]

SETTINGS: Settings = {
    "runners": {"python": {"allow": ["victims:*"], "path": [str(TASKS)]}},
    "lanes": {
        "sync": {"queues": ["default"], "subworkers": 2, "memory": "512MB", "recycle": {"max_jobs": 400}},
        "async": {"queues": ["async"], "subworkers": 1, "concurrency": 8, "recycle": {"max_age": "5s"}},
        # Too small for what jobs with a declared memory want, and for those that take more than they should.
        "small": {"queues": ["small", "default"], "subworkers": 1, "memory": "48MB", "recycle": {"rss_growth": "12MB"}},
    },
    "heartbeat": "200ms",
    "lease": "2s",
    "reap_every": "300ms",
    "poll": "50ms",
    "drain_timeout": "10s",
    "claim_max": 60,
    "tasks": {"*": {"retry": "10ms to 200ms"}},
    "writer": {"batch_max": 20, "age_max": "5ms"},
}
"""Small leases, small batches: so that there is much to lose in a short time. Chains overlap: lanes may have each other's jobs."""
LANES = tuple(SETTINGS["lanes"])
QUEUES = ("default", "async", "small")

WRONG = (
    "lanes: {",
    "lanes: {sync: {queues: [default, default]}}",
    'lanes: {sync: {queues: ["*", default]}}',
    "lanes: {sync: {queues: [default], subworkers: 0}}",
    "lanes: {sync: {queues: [default], workers: 2}}",
    "lanes: {sync: {queues: [default], memory: 900TB}}",
    "lanes: {sync: {queues: [default], setup: nothing}}",
    "lanes: {}",
    "lease: 3s",
    "runners: {}",
)
"""Each in the place of the section of that name, or of the whole where that cannot be read. The lease is right, and cannot be changed."""


def varied(settings: Settings, rng: random.Random) -> Settings:
    """Return another configuration that a running farm can go on by: other capacities, lanes that come and go, another writer."""
    settings = copy.deepcopy(settings)
    lanes = settings["lanes"]
    lanes["sync"]["subworkers"] = rng.randint(1, 3)
    lanes["sync"]["nice"] = rng.choice((0, 5))
    lanes["sync"]["recycle"] = {"max_jobs": rng.choice((100, 400, 2000))}
    lanes["async"]["concurrency"] = rng.choice((4, 8, 12))
    lanes["small"]["env"] = {"VARIANT": str(rng.randrange(1000))}
    if rng.random() < 0.3:
        del lanes["small"]
    if rng.random() < 0.4:
        lanes["rest"] = {"queues": ["async", "small", "*"], "subworkers": 1, "memory": "256MB"}
    if rng.random() < 0.3:
        # Another order is another lane in all that numbers them.
        settings["lanes"] = dict(rng.sample(list(lanes.items()), len(lanes)))
    settings["writer"] = {"batch_max": rng.choice((10, 20, 50)), "age_max": rng.choice(("2ms", "5ms", "20ms"))}
    settings["claim_max"] = rng.choice((30, 60, 100))
    return settings


def spoiled(settings: Settings, rng: random.Random) -> str:
    """Return the text of a configuration that must be refused."""
    wrong = rng.choice(WRONG)
    try:
        section = yaml.safe_load(wrong)
    except yaml.YAMLError:
        return wrong
    return yaml.safe_dump({**settings, **section}, sort_keys=False)
