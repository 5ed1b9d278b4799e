"""What a doctor says of the address where a farm tells how it does."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from farm.config.model import Metrics
from farm.doctor import metrics
from farm.doctor.finding import Level
from farm.doctor.metrics import examine_metrics
from farm.metrics.server import Answer, Server


@pytest.fixture
def other() -> Iterator[Server]:
    """A farm that is called `other`, as far as its page says."""
    page = Answer(200, [b'# TYPE farm_info gauge\nfarm_info{farm="other",version="1"} 1\n'])
    made = Server("127.0.0.1", 0, pages={"/metrics": lambda: page}, tick=lambda: None)
    made.start()
    yield made
    made.close()


def port_of(server: Server) -> int:
    return int(server.url.rpartition(":")[2])


def test_an_address_that_is_free_is_left_so(farm_home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    for _ in range(2):
        found = examine_metrics(Metrics(host="127.0.0.1", port=port), farm_home, "test")
        assert (found.level, found.text) == (Level.OK, f"127.0.0.1, port {port}: it is free")
    assert examine_metrics(Metrics(host="localhost", port=0), farm_home, "test").text == "localhost, any port that is free"


def test_what_others_can_reach_is_told(farm_home: Path) -> None:
    found = examine_metrics(Metrics(host="0.0.0.0", port=0), farm_home, "test")
    assert found.level is Level.ADVICE
    assert found.text == "0.0.0.0, any port that is free; whoever reaches this machine there can read it"
    assert "metrics.host: 127.0.0.1" in found.advice


def test_an_address_that_somebody_has_is_wrong(farm_home: Path, other: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it is another farm of the same name, as one of another FARM_HOME may be."""
    with monkeypatch.context() as hasty, socket.create_server(("127.0.0.1", 0)) as mute:
        hasty.setattr(metrics, "ANSWER_S", 0.1)
        taken = examine_metrics(Metrics(host="127.0.0.1", port=mute.getsockname()[1]), farm_home, "test")
    assert (taken.level, taken.text.partition(": ")[2]) == (Level.WRONG, "Address already in use")
    for instance in ("test", "other"):
        found = examine_metrics(Metrics(host="127.0.0.1", port=port_of(other)), farm_home, instance)
        assert found.level is Level.WRONG
        assert found.text.endswith("another farm, other, listens there")


def test_an_address_of_another_machine_is_wrong(farm_home: Path) -> None:
    found = examine_metrics(Metrics(host="192.0.2.1", port=0), farm_home, "test")
    assert (found.level, found.text) == (Level.WRONG, "192.0.2.1, port 0: Cannot assign requested address")


def test_what_can_be_no_address_is_wrong(farm_home: Path) -> None:
    found = examine_metrics(Metrics(host="db..internal", port=0), farm_home, "test")
    assert (found.level, found.text) == (Level.WRONG, "db..internal, port 0: this can be no name of a machine")
