"""The bare loop egress is held against: aiohttp, 64 calls in flight, same bodies, same stand-in, no ledger."""

from __future__ import annotations

import asyncio
import json
import time

import aiohttp

IN_FLIGHT = 64


async def bare_http(url: str, keys: int, calls: int, text: str) -> float:
    """Calls per second."""
    bodies = json.dumps({"msgtype": "text", "text": {"content": text}}).encode()
    numbers = iter(range(calls))
    connector = aiohttp.TCPConnector(limit=IN_FLIGHT)
    async with aiohttp.ClientSession(connector=connector, headers={"Content-Type": "application/json"}) as session:

        async def worker() -> None:
            for number in numbers:
                target = f"{url}/cgi-bin/webhook/send?key=r{number % keys}"
                async with session.post(target, data=bodies) as answer:
                    assert json.loads(await answer.read())["errcode"] == 0

        began = time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
        return calls / (time.perf_counter() - began)
