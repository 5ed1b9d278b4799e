"""100,000 no-op jobs drained, results kept: farm at its shipped defaults against the bare SQL loops.

Both run on fresh databases of the same server, one after the other, in pairs; the rate is from the first start to the last
commit, and the figure is the median of the pairs' ratios. The loops run at the batch that a first round finds best for them.
"""

from __future__ import annotations

from statistics import median

from bench.bare_loops import BATCHES, run_bare
from bench.database import Run, Server, measure_run, own_server
from bench.environment import environment
from bench.host import Host, config
from bench.report import Figure, print_report, print_table, spread

JOBS = 100_000
PAIRS = 5
TRIALS = 3
"""Runs of the bare loops at each batch before the pairs."""
WARM_UP_JOBS = 2_000


def main() -> None:
    """Run the measurement and print it."""
    with own_server() as server:
        found = environment(server.dsn)
        print(f"\nnoop_throughput: {JOBS:,} jobs `farm.demo:noop`, args 60 bytes, results 2 bytes, {PAIRS} pairs", flush=True)
        measure_farm(server, WARM_UP_JOBS)
        batch, trials = best_batch(server)
        pairs: list[tuple[Run, Run]] = []
        for _ in range(PAIRS):
            pairs.append((measure_farm(server, JOBS), measure_bare(server, batch)))
        ratios = [farm.rate / bare.rate for farm, bare in pairs]
        print_table(
            ("pair", "farm jobs/s", f"bare jobs/s (batch {batch:,})", "ratio", "farm's claims"),
            [
                (str(number), f"{farm.rate:,.0f}", f"{bare.rate:,.0f}", f"{farm.rate / bare.rate:.3f}", str(farm.leases))
                for number, (farm, bare) in enumerate(pairs, 1)
            ],
        )
        print(f"ratio {median(ratios):.3f}, minimum {min(ratios):.3f}, maximum {max(ratios):.3f}")
        details = {
            "ratio": spread(ratios),
            "farm_jobs_per_s": spread([farm.rate for farm, _ in pairs]),
            "bare_jobs_per_s": spread([bare.rate for _, bare in pairs]),
            "bare_batch": batch,
            "bare_trials_jobs_per_s": trials,
        }
        figure = Figure(name="farm / bare SQL loops", value=median(ratios), unit="", must=0.7, aim=0.9, more_is_better=True)
        print_report("noop_throughput", [figure], environment=found, details=details)


def best_batch(server: Server) -> tuple[int, dict[int, float]]:
    """Find the batch at which the bare loops are fastest, by the medians of a few runs each, taken in turn."""
    rates: dict[int, list[float]] = {batch: [] for batch in BATCHES}
    for _ in range(TRIALS):
        for batch in BATCHES:
            rates[batch].append(measure_bare(server, batch).rate)
    medians = {batch: round(median(found), 1) for batch, found in rates.items()}
    print_table(("bare batch", "jobs/s", "minimum", "maximum"), [_trial_row(batch, found) for batch, found in rates.items()])
    return max(medians, key=lambda batch: medians[batch]), medians


def measure_farm(server: Server, jobs: int) -> Run:
    """Drain a fresh database with `farm start --burst`."""
    with server.database(jobs=jobs) as dsn:
        with Host(server.home, config(dsn), burst=True) as host:
            host.wait_end()
        return _whole(measure_run(dsn), jobs)


def measure_bare(server: Server, batch: int) -> Run:
    """Drain a fresh database with the bare loops."""
    with server.database(jobs=JOBS) as dsn:
        run_bare(dsn, batch)
        return _whole(measure_run(dsn), JOBS)


def _whole(run: Run, jobs: int) -> Run:
    if run.jobs != jobs:
        raise RuntimeError(f"{run.jobs:,} of {jobs:,} jobs succeeded: this is no measurement")
    return run


def _trial_row(batch: int, rates: list[float]) -> tuple[str, ...]:
    return (f"{batch:,}", f"{median(rates):,.0f}", f"{min(rates):,.0f}", f"{max(rates):,.0f}")


if __name__ == "__main__":
    main()
