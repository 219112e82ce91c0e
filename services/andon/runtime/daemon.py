"""A blocking call in a thread that the end of the process does not wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


def in_daemon(name: str, work: Callable[[], T]) -> Future[T]:
    """Begins `work` in a thread of its own, called `name`. Who gives the call up leaves the thread to itself; an
    executor's threads would be waited for at exit, for as long as the call hangs."""
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()  # from here on it cannot be cancelled

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - raised again where the result is asked for
            future.set_exception(error)
        else:
            future.set_result(result)

    Thread(target=run, name=name, daemon=True).start()
    return future


async def unawaited(name: str, work: Callable[[], T]) -> T:
    """What `work` returns or raises, of a call that is left to itself when this is cancelled."""
    return await asyncio.wrap_future(in_daemon(name, work))
