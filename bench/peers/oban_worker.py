"""Oban: fill a database with jobs, or work on them until stopped. Runs in the environment of oban."""

from __future__ import annotations

import asyncio

from oban import Job, Oban, worker
from oban.schema import install
from oban.worker import worker_name
from psycopg.conninfo import make_conninfo

from bench.peers.worker import Effects, Order

FILL_AT_ONCE = 5_000


async def main() -> None:
    order = Order()
    place = {"dbname" if name == "database" else name: value for name, value in order.database.items()}
    pool = await Oban.create_pool(make_conninfo("", **place))
    if order.command == "fill":
        await install(pool)
        oban = Oban(pool=pool)
        for done in range(0, order.jobs, FILL_AT_ONCE):
            await oban.enqueue_many(Job(worker_name(Noop), args=args) for args in order.args_of(done, min(FILL_AT_ONCE, order.jobs - done)))
        await pool.close()
    else:
        effects.append(Effects(order.options["effects"]))
        async with Oban(pool=pool, **order.options["oban"]):
            await asyncio.Event().wait()


effects: list[Effects] = []
"""One, when this process works."""


@worker()
class Noop:
    async def process(self, job: Job) -> None:
        await effects[0].run(job.args["n"])


asyncio.run(main())
