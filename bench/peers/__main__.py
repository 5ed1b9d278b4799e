"""`python -m bench.peers [--kills] [NAME ...]`: farm beside its peers, or beside those named.

Without names, two things: 100,000 no-op jobs are drained in pairs; then workers are killed while they work, see kill.py. With names only
the first, with --kills only the second.

Of the first: both work on fresh databases of the same server, one after the other; the rate is from the first start to the last commit. A
slow peer gets fewer jobs than farm: its rate is compared. Of a peer's settings the faster one is measured, by the medians of a few runs
each.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

from bench.database import Server, own_server
from bench.environment import environment
from bench.noop_throughput import WARM_UP_JOBS, measure_farm
from bench.peers import awa, graphile, pgboss, pgqueuer
from bench.peers.kill import VICTIMS, measure_kills
from bench.peers.packages import PeerFailed, PeerMissing
from bench.peers.peer import Peer, Run, Setting
from bench.peers.victim import Victim
from bench.report import Figure, print_report, print_table, spread

FARM_JOBS = 100_000
TRIALS = 2
"""Runs of each of a peer's settings before the pairs."""
Installed = TypeVar("Installed", Peer, Victim)
PEERS = {peer.name: peer for peer in (graphile.PEER, pgboss.PEER, pgqueuer.PEER, awa.PEER)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """farm's and a peer's rates, pair by pair, in jobs a second."""

    peer: Peer
    setting: Setting
    farm: Sequence[float]
    other: Sequence[float]

    @property
    def ratios(self) -> list[float]:
        return [mine / theirs for mine, theirs in zip(self.farm, self.other, strict=True)]

    @property
    def figure(self) -> Figure:
        return Figure(
            name=f"farm / {self.peer.title}",
            value=median(self.ratios),
            unit="x",
            must=self.peer.must,
            aim=self.peer.aim,
            more_is_better=True,
        )


def main(words: Sequence[str]) -> int:
    """Run what was asked for and print it. Returns 1 when a peer failed: the others are measured all the same."""
    kills, names = "--kills" in words, [word for word in words if word != "--kills"]
    known: Mapping[str, object] = VICTIMS if kills else PEERS
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"bench.peers: no peer {unknown[0]!r}: choose from {', '.join(known)}", file=sys.stderr)
        return 2
    # So that servers and workers are stopped and their directories removed, whoever ends this.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(143))
    failures: dict[str, str] = {}
    missing: dict[str, str] = {}
    if not kills and (installed := _install([PEERS[name] for name in names or PEERS], failures, missing)):
        _compare_all(installed, failures)
    if (kills or not names) and (victims := _install([VICTIMS[name] for name in names or VICTIMS], failures, missing)):
        measure_kills(victims, failures, missing)
    for title, text in failures.items():
        print(f"bench.peers: {title} was not measured: {text}", file=sys.stderr)
    return 1 if failures else 0


def _compare_all(peers: Sequence[Peer], failures: dict[str, str]) -> None:
    """Compare farm with each of these and print it, the table at the end. A peer that fails is left out of that, and noted."""
    comparisons = []
    with own_server() as server:
        found = environment(server.dsn)
        measure_farm(server, WARM_UP_JOBS)
        for peer in peers:
            try:
                comparisons.append(compare(server, peer))
            except PeerFailed as error:
                _report_failure(peer, str(error), failures)
    print()
    print_table(HEAD, [row(one) for one in comparisons])
    print("rates are medians; ratios are those of the pairs")
    details = {one.peer.name: _details(one) for one in comparisons}
    print_report("peers", [one.figure for one in comparisons], environment=found, details=details | {"failures": failures})


def compare(server: Server, peer: Peer) -> Comparison:
    """Choose a peer's setting, then run farm and the peer in pairs. Raises PeerFailed."""
    setting = _best_setting(server, peer)
    print(f"\n{peer.title}: {setting.words}; {peer.jobs:,} jobs, farm {FARM_JOBS:,}", flush=True)
    farm, other = [], []
    for number in range(1, peer.pairs + 1):
        farm.append(measure_farm(server, FARM_JOBS).rate)
        other.append(_measure_peer(server, peer, setting).rate)
        print(f"  pair {number}: farm {farm[-1]:,.0f}, {peer.name} {other[-1]:,.0f}, {farm[-1] / other[-1]:.2f} x", flush=True)
    return Comparison(peer=peer, setting=setting, farm=farm, other=other)


def fastest(rates: Mapping[str, Sequence[float]]) -> str:
    """Return the name with the highest median; of equals the first."""
    return max(rates, key=lambda name: median(rates[name]))


HEAD = ("peer", "at its best", "keeps", "jobs", "farm, jobs/s", "peer, jobs/s", "ratio", "minimum", "maximum")


def row(one: Comparison) -> tuple[str, ...]:
    """Return a comparison as a row of the table."""
    rates = (f"{median(one.farm):,.0f}", f"{median(one.other):,.0f}")
    ratios = tuple(f"{value:.2f}" for value in (median(one.ratios), min(one.ratios), max(one.ratios)))
    return (one.peer.title, one.setting.words, one.peer.keeps, f"{one.peer.jobs:,}", *rates, *ratios)


def _install(peers: Sequence[Installed], failures: dict[str, str], missing: dict[str, str]) -> list[Installed]:
    """Install all of them, say how, and return those that can be measured. What this machine lacks is noted apart: it is no failure."""
    installed = []
    for peer in peers:
        try:
            print(f"{peer.title}: {peer.install()}", flush=True)
        except PeerMissing as error:
            print(f"{peer.title}: {error}", flush=True)
            missing[peer.title] = str(error)
        except PeerFailed as error:
            _report_failure(peer, str(error), failures)
        else:
            installed.append(peer)
    return installed


def _report_failure(peer: Peer | Victim, text: str, failures: dict[str, str]) -> None:
    print(f"{peer.title}: {text}", flush=True)
    failures[peer.title] = text


def _best_setting(server: Server, peer: Peer) -> Setting:
    """Try a peer's settings in turn. One that fails is left out; raises PeerFailed when all of them do."""
    rates: dict[str, list[float]] = {setting.words: [] for setting in peer.settings}
    failed: dict[str, str] = {}
    for _ in range(TRIALS):
        for setting in peer.settings:
            if setting.words not in failed:
                try:
                    rates[setting.words].append(_measure_peer(server, peer, setting).rate)
                except PeerFailed as error:
                    failed[setting.words] = str(error)
    print(flush=True)
    print_table((peer.title, "jobs/s", "minimum", "maximum"), [_trial_row(words, found) for words, found in rates.items()])
    for words, text in failed.items():
        print(f"{words}: failed: {text}")
    whole = {words: found for words, found in rates.items() if words not in failed}
    if not whole:
        raise PeerFailed("; ".join(failed.values()))
    best = fastest(whole)
    return next(setting for setting in peer.settings if setting.words == best)


def _trial_row(words: str, rates: Sequence[float]) -> tuple[str, ...]:
    return (words, *(f"{value:,.0f}" for value in (median(rates), min(rates), max(rates)))) if rates else (words, "-", "-", "-")


def _measure_peer(server: Server, peer: Peer, setting: Setting) -> Run:
    with server.database(jobs=peer.jobs, owner=peer.name, fill=peer.prepare) as dsn:
        return peer.run(dsn, setting)


def _details(one: Comparison) -> dict[str, object]:
    return {
        "setting": one.setting.words,
        "processes": one.setting.processes,
        "options": dict(one.setting.options),
        "jobs": one.peer.jobs,
        "ratio": spread(one.ratios),
        "farm_jobs_per_s": spread(one.farm),
        "peer_jobs_per_s": spread(one.other),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
