"""The bare loop egress is held against: aiohttp, 64 calls in flight, same bodies, same stand-in, no ledger."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import aiohttp

IN_FLIGHT = 64
JSON = {"Content-Type": "application/json"}


class Prepared(NamedTuple):
    """A call, made ready before the clock runs."""

    url: str
    headers: Mapping[str, str]
    body: bytes


async def bare_http(url: str, keys: int, calls: int, text: str) -> float:
    """Calls per second to robots."""
    body = json.dumps({"msgtype": "text", "text": {"content": text}}).encode()
    targets = [f"{url}/cgi-bin/webhook/send?key=r{number}" for number in range(keys)]
    prepared = (Prepared(targets[number % keys], JSON, body) for number in range(calls))
    return await bare_calls(prepared, calls, lambda status, body: json.loads(body)["errcode"] == 0)


async def bare_calls(prepared: Iterable[Prepared], count: int, good: Callable[[int, bytes], bool]) -> float:
    """Calls per second; raises AssertionError unless each answer is good by status and body."""
    calls = iter(prepared)
    connector = aiohttp.TCPConnector(limit=IN_FLIGHT)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def worker() -> None:
            for call in calls:
                async with session.post(call.url, data=call.body, headers=call.headers) as answer:
                    assert good(answer.status, await answer.read())

        began = time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
        return count / (time.perf_counter() - began)
