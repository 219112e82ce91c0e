"""The bare door: the same HTTP server, which only produces and awaits the ack. No token, no checks, no index."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import deque
from typing import Any

import msgspec
from aiohttp import web
from confluent_kafka import Producer

_events = msgspec.json.Decoder(list[msgspec.Raw])


class Bare:
    def __init__(self, bootstrap: str, topic: str) -> None:
        settings = {"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 1}
        self.producer = Producer(settings | {"queue.buffering.max.messages": 20_000})
        self.topic = topic
        self.loop = asyncio.get_running_loop()
        self.acked: deque[asyncio.Future[None]] = deque()
        self.woken = False
        self.count = 0
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while True:
            self.producer.poll(0.05)
            if self.acked and not self.woken:
                self.woken = True
                self.loop.call_soon_threadsafe(self.tell)

    def tell(self) -> None:
        self.woken = False
        while self.acked:
            self.acked.popleft().set_result(None)

    def produce(self, body: bytes, key: bytes) -> asyncio.Future[None]:
        future = self.loop.create_future()

        def report(error: Any, _record: Any) -> None:
            if error is None:
                self.acked.append(future)

        self.producer.produce(self.topic, body, key=key, on_delivery=report)
        return future

    async def single(self, request: web.Request) -> web.Response:
        self.count += 1
        await self.produce(await request.read(), b"M-%d" % (self.count % 500))
        return web.Response(status=202, body=b'{"id":"x"}', content_type="application/json")

    async def batch(self, request: web.Request) -> web.Response:
        events = _events.decode(await request.read())
        await asyncio.gather(*(self.produce(bytes(one), b"M-%d" % (n % 500)) for n, one in enumerate(events)))
        return web.Response(body=b'[{"status":202}]', content_type="application/json")


async def main(bootstrap: str, topic: str, port: int) -> None:
    bare = Bare(bootstrap, topic)
    app = web.Application()
    app.router.add_post("/v1/events", bare.single)
    app.router.add_post("/v1/events:batch", bare.batch)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
