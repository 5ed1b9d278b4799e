"""Procrastinate: fill a database with jobs, or work on them until stopped. Runs in the environment of Procrastinate."""

from __future__ import annotations

import asyncio
from typing import Any

from procrastinate import App, JobContext, PsycopgConnector
from psycopg.conninfo import make_conninfo

from bench.peers.worker import Effects, Order

FILL_AT_ONCE = 5_000


async def main() -> None:
    order = Order()
    place = {"dbname" if name == "database" else name: value for name, value in order.database.items()}
    app = App(connector=PsycopgConnector(conninfo=make_conninfo("", **place)))
    async with app.open_async():
        if order.command == "fill":
            await app.schema_manager.apply_schema_async()
            task = app.configure_task("noop")
            for done in range(0, order.jobs, FILL_AT_ONCE):
                jobs = order.args_of(done, min(FILL_AT_ONCE, order.jobs - done))
                await task.batch_defer_async(*jobs)
        else:
            await work(order, app)


async def work(order: Order, app: App) -> None:
    effects = Effects(order.options["effects"])

    async def effect(n: int, **_others: Any) -> None:
        await effects.run(n)

    # As its page "Retry stalled jobs" has it, but for the interval.
    async def retry_stalled_jobs(_context: JobContext, timestamp: int) -> None:
        for job in await app.job_manager.get_stalled_jobs():
            await app.job_manager.retry_job(job)

    app.task(name="noop")(effect)
    app.periodic(cron=order.options["cron"])(
        app.task(name="retry_stalled_jobs", queueing_lock="retry_stalled_jobs", pass_context=True)(retry_stalled_jobs)
    )
    await app.run_worker_async(**order.options["worker"])


asyncio.run(main())
