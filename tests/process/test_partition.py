"""A network between a farm and its database that drops, slows down and refuses: real packets, in a namespace of their own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

from tests.netns import Net, has_filter, needs_root
from tests.process import crew
from tests.process.conftest import MakeFarm
from tests.process.crew import wait_for
from tests.process.ledger import Ledger, effects_of
from tests.process.running import RunningFarm
from tests.process.test_harm import cpu_s
from tests.servers import Server

AWAY_S = 2.5
JOBS = 200


@pytest.fixture
def net(server: Server) -> Iterator[Net]:
    with Net() as made, server.listening(made.near):
        yield made


class Wave:
    """Jobs of which some run at the far end when something happens to the network."""

    def __init__(self, ledger: Ledger, path: Path, far: RunningFarm) -> None:
        self._ledger = ledger
        self._path = path
        before = ledger.settled()
        self._ids = ledger.enqueue_marks(JOBS, path, seconds=0.01)
        self._far = far
        wait_for(lambda: ledger.settled() > before + JOBS // 10, "a farm at work")

    def finish(self) -> int:
        """Wait until all have their one result; returns how many ran twice."""
        wait_for(lambda: set(self._ids.values()) <= set(self._ledger.results()), f"all results\n{self._far.log}")
        starts = effects_of(self._path)
        assert set(starts) == set(self._ids)
        assert max(starts.values()) <= 2
        return sum(starts.values()) - JOBS


class Ends:
    """A host at each end of a network, and their database at the near one."""

    def __init__(self, make_farm: MakeFarm, home: Path, net: Net, ledger: Ledger, directory: Path, dsn: str) -> None:
        options = {"heartbeat": "200ms", "lease": "3s", "reap_every": "300ms", "claim_max": 40}
        self.far = make_farm(name="far", wrapper=net.wrapper, dsn=make_conninfo(dsn, host=net.near), **options).start()
        self.near = make_farm(name="near", home=home / "near", **options).start()
        self._net = net
        self._ledger = ledger
        self._directory = directory

    def wave(self, name: str) -> Wave:
        return Wave(self._ledger, self._directory / name, self.far)

    def cut(self, *, both_ways: bool, times: int) -> None:
        """Cut the far end off until the near one has finished all, then wait for its return."""
        how = "both ways" if both_ways else "one way"
        assert len(self._ledger.live_hosts()) == 2
        wave = self.wave(f"cut {how}")
        self._net.cut(both_ways=both_ways)
        begun = time.monotonic()
        wait_for(lambda: len(self._ledger.live_hosts()) == 1, "the other host to retire it")
        retired = time.monotonic() - begun
        twice = wave.finish()
        finished = time.monotonic() - begun
        self._net.heal()
        healed = time.monotonic()
        wait_for(lambda: len(self._ledger.live_hosts()) == 2, "its return")
        wait_for(lambda: len(self.far.log_lines("begins again as host")) == times, "its word")
        print(
            f"cut off {how}, lease 3 s: retired after {retired:.1f} s, all done elsewhere after {finished:.1f} s, {twice} jobs ran twice;"
        )
        print(f"    back {time.monotonic() - healed:.1f} s after the network")

    def hinder(self, name: str, strike: Callable[[], None]) -> None:
        """Have the far end work through a bad network: it is slow, and not taken for dead."""
        wave = self.wave(name)
        strike()
        begun = time.monotonic()
        assert wave.finish() == 0
        print(f"{name}: {JOBS} jobs took {time.monotonic() - begun:.1f} s")
        self._net.heal()

    def refuse(self) -> None:
        """Refuse every new connection of the far end, and end those that it has."""
        self._net.refuse()
        self._ledger.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE client_addr IS NOT NULL")
        self.far.wait_log("the database is away")
        spent, since = self._spent(), time.monotonic()
        time.sleep(AWAY_S)
        share = (self._spent() - spent) / (time.monotonic() - since)
        self._net.heal()
        healed = time.monotonic()
        assert self.wave("refused").finish() == 0
        print(f"every connection refused: {share:.1%} of a core; {JOBS} jobs done {time.monotonic() - healed:.1f} s after the end of that")
        assert share < 0.3

    def _spent(self) -> float:
        return sum(map(cpu_s, [self.far.pid, self.far.writer()]))


@needs_root
@pytest.mark.timeout(240)
def test_networks(make_farm: MakeFarm, farm_home: Path, net: Net, ledger: Ledger, tmp_path: Path, dsn: str) -> None:
    """One of two hosts is cut off, both ways and one way: the other finishes all, and the one that returns has fenced itself.

    With little bandwidth, and with a third of its packets lost, it is slow, not dead. Where every new connection is refused it does
    not spin.
    """
    ends = Ends(make_farm, farm_home, net, ledger, tmp_path, dsn)
    for times, both_ways in enumerate((True, False), 1):
        ends.cut(both_ways=both_ways, times=times)
    ends.near.stop()
    hosts = ledger.live_hosts()
    ends.hinder("64 kbit a second", partial(net.slow_down, "64kbit"))
    if has_filter():
        ends.hinder("30 % of the packets lost", partial(net.lose, 30))
        ends.refuse()
    else:
        print("there is no `nft` here: 2 of 5 faults, loss of packets and refused connections, are not tested")
    assert ledger.live_hosts() == hosts, "it was not taken for dead"
    ends.far.stop()
    assert {row.status for row in ledger.results().values()} == {1}
    ledger.check_all_ended()
    assert not crew.holders(ends.far.crew_lock)
