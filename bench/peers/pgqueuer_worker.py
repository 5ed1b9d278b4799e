"""PGQueuer: fill a database with jobs, or work on them until stopped. Runs in the environment of PGQueuer."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

import asyncpg
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

from bench.peers.worker import Effects, Order, Tally, begin

FILL_AT_ONCE = 5_000


async def main() -> None:
    order = Order()
    connection = await asyncpg.connect(**order.database)
    if order.command == "fill":
        await fill(order, connection)
    elif order.command == "work":
        await work(order, connection)
    else:
        await drain(order, connection)


async def fill(order: Order, connection: asyncpg.Connection) -> None:
    queries = Queries(AsyncpgDriver(connection))
    await queries.install()
    for done in range(0, order.jobs, FILL_AT_ONCE):
        count = min(FILL_AT_ONCE, order.jobs - done)
        payloads: list[bytes | None] = [json.dumps(args, separators=(",", ":")).encode() for args in order.args_of(done, count)]
        await queries.enqueue(["noop"] * count, payloads, [0] * count)


async def work(order: Order, connection: asyncpg.Connection) -> None:
    queuer = PgQueuer(AsyncpgDriver(connection))
    effects = Effects(order.options["effects"])

    async def effect(job: Job) -> None:
        await effects.run(json.loads(job.payload or b"")["n"])

    queuer.entrypoint("noop")(effect)
    await queuer.run(**order.options["run"])


async def drain(order: Order, connection: asyncpg.Connection) -> None:
    queuer = PgQueuer(AsyncpgDriver(connection))
    tally = Tally()

    async def noop(_job: Job) -> None:
        tally.noop()

    queuer.entrypoint("noop")(noop)
    telling = asyncio.create_task(tally.tell())
    begin()
    await queuer.run(**order.options)
    with suppress(asyncio.CancelledError):
        telling.cancel()
        await telling


uvloop.run(main())
