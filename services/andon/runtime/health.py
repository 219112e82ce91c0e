"""The port for machines: /healthz, /readyz and /metrics of one process, on loopback unless told otherwise."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from andon.config.addresses import host_port
from andon.runtime.metrics import Metrics


class CannotListen(Exception):  # noqa: N818 - a state of the machine, told to people
    """An address this process should serve cannot be used; the text says which and what to do."""

    exit_code = 1


async def listen(runner: web.AppRunner, address: str, tls: ssl.SSLContext | None = None) -> None:
    """Serves `runner` at host:port. Raises CannotListen when the address is taken or not ours."""
    host, port = host_port(address)
    try:
        await web.TCPSite(runner, host, port, ssl_context=tls, backlog=1024).start()
    except OSError as error:
        raise CannotListen(
            f"cannot listen on {address} ({os.strerror(error.errno or 0)}); end what uses it, or give another address"
        ) from None


class HealthPort:
    """Serves until closed. `ready` tells whether the process does its work: its partitions are known, its store
    answers, its configuration is in force."""

    def __init__(self, metrics: Metrics, ready: Callable[[], bool]) -> None:
        self._figures = metrics
        self._ready = ready
        self._runner: web.AppRunner | None = None

    async def open(self, host: str, port: int) -> None:
        """Raises CannotListen."""
        app = web.Application()
        app.router.add_get("/healthz", self._health)
        app.router.add_get("/readyz", self._readiness)
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await listen(self._runner, f"[{host}]:{port}" if ":" in host else f"{host}:{port}")

    async def _health(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readiness(self, _request: web.Request) -> web.Response:
        return web.Response(text="ready\n") if self._ready() else web.Response(status=503, text="not ready\n")

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._figures.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def close(self) -> None:
        if self._runner:
            await self._runner.cleanup()
