"""awa: fill a database with jobs, or work on them until stopped. Runs in the environment of awa-pg."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from awa import AsyncClient, Job

from bench.peers.worker import Order, Tally, begin

FILL_AT_ONCE = 5_000
QUEUE = "noop"


@dataclass
class Noop:
    customer: int
    message: str
    tags: list[str]
    n: int


async def main() -> None:
    order = Order()
    client = AsyncClient(url(**order.database))
    if order.command == "fill":
        await client.migrate()
        await client.install_queue_storage()
        for done in range(0, order.jobs, FILL_AT_ONCE):
            jobs = [Noop(**order.args) for _ in range(min(FILL_AT_ONCE, order.jobs - done))]
            await client.enqueue_many_copy(jobs, queue=QUEUE)
        await client.close()
    else:
        await drain(order, client)


def url(*, host: str, port: str, user: str, database: str) -> str:
    """Return a database as the only form that awa takes: here the host is a directory, so it stands behind the question mark."""
    return f"postgres://{quote(user)}@localhost/{quote(database)}?{urlencode({'host': host, 'port': port})}"


async def drain(order: Order, client: AsyncClient) -> None:
    tally = Tally()

    async def noop(_job: Job[Noop]) -> None:
        tally.noop()

    client.task(Noop, queue=QUEUE)(noop)
    begin()
    await client.start([{"name": QUEUE, **order.options["queue"]}], **order.options["start"])
    await tally.tell()


asyncio.run(main())
