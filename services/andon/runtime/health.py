"""The port for machines: /healthz, /readyz and /metrics of one process, on loopback unless told otherwise."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from andon.runtime.metrics import Metrics


class HealthPort:
    """Serves until closed. `ready` tells whether the process does its work: its partitions are known, its store
    answers, its configuration is in force."""

    def __init__(self, metrics: Metrics, ready: Callable[[], bool]) -> None:
        self._figures = metrics
        self._ready = ready
        self._runner: web.AppRunner | None = None

    async def open(self, host: str, port: int) -> None:
        """Raises OSError when the port is taken."""
        app = web.Application()
        app.router.add_get("/healthz", self._health)
        app.router.add_get("/readyz", self._readiness)
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()

    async def _health(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readiness(self, _request: web.Request) -> web.Response:
        return web.Response(text="ready\n") if self._ready() else web.Response(status=503, text="not ready\n")

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._figures.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def close(self) -> None:
        if self._runner:
            await self._runner.cleanup()
