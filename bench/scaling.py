"""No-op jobs at 1 to 24 subworkers: whether more of them than cores get in each other's way. Printed, not judged."""

from __future__ import annotations

from statistics import median

from bench.database import Run, Server, measure_run, own_server
from bench.environment import environment
from bench.host import Host, config
from bench.report import print_report, print_table, spread

SUBWORKERS = (1, 2, 4, 8, 24)
JOBS = 60_000
ROUNDS = 2


def main() -> None:
    """Run the measurement and print it."""
    with own_server() as server:
        found = environment(server.dsn)
        print(f"\nscaling: {JOBS:,} jobs `farm.demo:noop`, {ROUNDS} rounds", flush=True)
        measure(server, 1)
        runs: dict[int, list[Run]] = {subworkers: [] for subworkers in SUBWORKERS}
        for _ in range(ROUNDS):
            for subworkers in SUBWORKERS:
                runs[subworkers].append(measure(server, subworkers))
        rates = {subworkers: [run.rate for run in found_runs] for subworkers, found_runs in runs.items()}
        print_table(
            ("subworkers", "jobs/s", "minimum", "maximum", "claims"),
            [
                (str(subworkers), *(f"{rate:,.0f}" for rate in (median(found_rates), min(found_rates), max(found_rates))), claims)
                for subworkers, found_rates in rates.items()
                for claims in [", ".join(str(run.leases) for run in runs[subworkers])]
            ],
        )
        details = {str(subworkers): spread(found_rates) for subworkers, found_rates in rates.items()}
        print_report("scaling", [], environment=found, details=details)


def measure(server: Server, subworkers: int) -> Run:
    """Drain a fresh database with so many subworkers."""
    with server.database(jobs=JOBS) as dsn:
        with Host(server.home, config(dsn, subworkers=str(subworkers)), burst=True) as host:
            host.wait_end()
        run = measure_run(dsn)
        if run.jobs != JOBS:
            raise RuntimeError(f"{run.jobs:,} of {JOBS:,} jobs succeeded: this is no measurement")
        return run


if __name__ == "__main__":
    main()
