"""Looking up names, in threads for that alone: a name server that does not answer holds up only its own names."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from concurrent.futures import Future
from threading import Lock, Thread
from typing import Any

MOST = 64
Found = list[tuple[socket.AddressFamily, Any]]


class Lookups:
    """At most `most` look-ups at one time, and one of each name and port, whose answer goes to all who wait for it.

    A look-up cannot be broken off and may take half a minute. Who gives up waiting leaves it to itself, and so does the
    end of the process.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._lock = Lock()
        self._begun: dict[tuple[str, int], Future[Found]] = {}
        self._waiting: deque[tuple[str, int]] = deque()
        self._threads = 0

    async def addresses(self, host: str, port: int) -> Found:
        """Every address of the name. Raises OSError, and UnicodeError for a name of odd letters."""
        return await asyncio.wrap_future(self._of(host, port))

    def _of(self, host: str, port: int) -> Future[Found]:
        wanted = (host, port)
        with self._lock:
            begun = self._begun.get(wanted)
            if begun is None:
                if self._threads < self._most:
                    Thread(target=self._work, name="names", daemon=True).start()
                    self._threads += 1
                self._waiting.append(wanted)
                begun = self._begun[wanted] = Future()
                begun.set_running_or_notify_cancel()  # from here on no waiter can cancel it, for the others
            return begun

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._threads -= 1
                    return
                wanted = self._waiting.popleft()
            try:
                found = socket.getaddrinfo(*wanted, type=socket.SOCK_STREAM)
            except BaseException as error:  # noqa: BLE001 - raised again where the answer is asked for
                self._ended(wanted).set_exception(error)
            else:
                self._ended(wanted).set_result([(family, address) for family, _, _, _, address in found])

    def _ended(self, wanted: tuple[str, int]) -> Future[Found]:
        with self._lock:
            return self._begun.pop(wanted)


LOOKUPS = Lookups()
"""Those of this process."""
