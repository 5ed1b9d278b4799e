"""The client for asyncio programs: the same client, its calls run in a few threads, its waits in none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial, update_wrapper
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from farm.client import Client, connect
from farm.waits import timed_out

P = ParamSpec("P")
R = TypeVar("R")

THREADS_MAX = 8
"""Each uses a connection while a call is under way."""


def aconnect(dsn: str | None = None, *, pooled: bool = False) -> AsyncClient:
    """Return a client for `async with`; dsn and pooled as in connect."""
    return AsyncClient(partial(connect, dsn, pooled=pooled))


def _in_thread(method: Callable[Concatenate[Client, P], R]) -> Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, R]]:
    """Make a method of the client one that is awaited: it has the same arguments and runs in a thread."""

    async def call(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await self._call(partial(method, self._client, *args, **kwargs))

    update_wrapper(call, method)
    return call


class AsyncClient:
    """Files jobs and waits for them, on one event loop. An enqueue that is cancelled may or may not have filed its jobs."""

    def __init__(self, make: Callable[[], Client]) -> None:
        self._make = make
        self._made: Client | None = None
        self._threads = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="farm client")

    enqueue = _in_thread(Client.enqueue)
    enqueue_many = _in_thread(Client.enqueue_many)
    cancel = _in_thread(Client.cancel)
    retry = _in_thread(Client.retry)
    progress = _in_thread(Client.progress)

    async def wait(self, job_id: int, timeout_s: float | None = None) -> Any:
        """Wait until a job has ended and return its result; as Client.wait. Any number may wait at once, and each may be cancelled."""
        waits = self._client.waits()
        future = waits.begin(job_id)
        try:
            async with asyncio.timeout(timeout_s) as limit:
                return await asyncio.wrap_future(future)
        except TimeoutError:
            if not limit.expired():
                raise
            raise timed_out(job_id, timeout_s) from None
        finally:
            waits.end(job_id, future)

    async def close(self) -> None:
        """Close the client; those who still wait get a StoreError. May be called again."""
        made, self._made = self._made, None
        if made is not None:
            await self._call(made.close)
        self._threads.shutdown(wait=False)

    async def __aenter__(self) -> Self:
        try:
            self._made = await self._call(self._make)
        except BaseException:
            self._threads.shutdown(wait=False)
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    @property
    def _client(self) -> Client:
        assert self._made is not None, "the client is not open: use it in `async with`"
        return self._made

    async def _call(self, function: Callable[[], R]) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function)
