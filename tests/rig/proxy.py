"""Stands between clients and one broker, and holds back what a test asks it to. Imports nothing of Andon.

It knows as much of Kafka's protocol as that takes: the length before each request and answer, the kind of a request and
its number, and that a broker tells clients its address in two kinds of answers, where the proxy puts its own port.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import threading
from collections.abc import AsyncIterator, Callable
from typing import Literal, Self

PRODUCE, METADATA, FIND_COORDINATOR, END_TXN = 0, 3, 10, 26
HOST = b"127.0.0.1"

Hold = Literal["request", "answer"]


class Proxy:
    """Listens on `port` for the broker on `broker` of this machine. Enter it to start; it runs in a thread.

    `hold` is asked for each request of the `kind`, an EndTxn (the commit of a transaction, or its abort) unless it is
    told otherwise: `request` keeps it from the broker, `answer` keeps the broker's answer from the client, None lets
    both pass. What is held is let go after `held_s` seconds, also when its client has given up meanwhile: so it comes
    late, as on a network that stood still.
    """

    def __init__(
        self, port: int, broker: int, hold: Callable[[], Hold | None], held_s: float, kind: int = END_TXN
    ) -> None:
        self.port = port
        self.held: dict[Hold, int] = {"request": 0, "answer": 0}
        self._broker = broker
        self._hold = hold
        self._held_s = held_s
        self._kind = kind
        self._ours = HOST + struct.pack(">i", port)
        self._theirs = HOST + struct.pack(">i", broker)
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._clients: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(20)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """Breaks every connection that there is; what was held for its client is lost."""
        for one in list(self._clients):
            self._loop.call_soon_threadsafe(one.transport.abort)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)

    async def _close(self) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        try:
            broker, to_broker = await asyncio.open_connection("127.0.0.1", self._broker)
        except OSError:
            to_client.close()
            return
        finally:
            self._tasks.discard(task)
        self._clients.add(to_client)
        asked: dict[int, tuple[int, bool]] = {}  # number of a request → its kind, and whether its answer is to be held
        for running in (self._requests(client, to_broker, asked), self._answers(broker, to_client, asked)):
            one = asyncio.ensure_future(running)
            self._tasks.add(one)
            one.add_done_callback(self._tasks.discard)

    async def _requests(
        self, client: asyncio.StreamReader, to_broker: asyncio.StreamWriter, asked: dict[int, tuple[int, bool]]
    ) -> None:
        """In the order in which they came: what is behind a held request waits, as on a real connection."""
        async with _closing(to_broker):
            while True:
                frame = await _frame(client)
                kind, _version, number = struct.unpack(">hhi", frame[:8])
                hold = self._hold() if kind == self._kind else None
                asked[number] = kind, hold == "answer"
                if hold:
                    self.held[hold] += 1
                if hold == "request":
                    await asyncio.sleep(self._held_s)
                await _send(to_broker, frame)

    async def _answers(
        self, broker: asyncio.StreamReader, to_client: asyncio.StreamWriter, asked: dict[int, tuple[int, bool]]
    ) -> None:
        async with _closing(to_client):
            while True:
                frame = await _frame(broker)
                (number,) = struct.unpack(">i", frame[:4])
                kind, held = asked.pop(number)
                if held:
                    await asyncio.sleep(self._held_s)
                if kind in (METADATA, FIND_COORDINATOR):
                    frame = frame.replace(self._theirs, self._ours)
                await _send(to_client, frame)


@contextlib.asynccontextmanager
async def _closing(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    """An end of either side ends the other; what was read before has been passed on."""
    try:
        yield
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def _frame(reader: asyncio.StreamReader) -> bytes:
    (length,) = struct.unpack(">i", await reader.readexactly(4))
    return await reader.readexactly(length)


async def _send(writer: asyncio.StreamWriter, frame: bytes) -> None:
    writer.write(struct.pack(">i", len(frame)) + frame)
    await writer.drain()
