"""The door as a server, and what is told of requests that are no HTTP."""

from __future__ import annotations

import logging
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from andon.core.reason import Reason
from andon.ingress.api import application
from andon.ingress.door import Door
from andon.ingress.entry.caller import address_of, group_of
from andon.ingress.muting.active import Active
from andon.ingress.refusals import Refusal, Refusals

# Longer than proxies keep a connection that nobody uses (nginx: 60 s), so that they are those who end it.
IDLE_S = 75.0


def runner(
    door: Door, active: Active | None = None, *, leaves_s: float = 12.0, idle_s: float = IDLE_S
) -> web.AppRunner:
    """The door, to be set up and to listen. When it leaves it waits so long for what is being answered. A connection
    has `idle_s` for the whole head of its next request, however slowly it sends it; then it is hung up on."""
    return web.AppRunner(
        application(door, active),
        access_log=None,
        shutdown_timeout=leaves_s,
        keepalive_timeout=idle_s,
        auto_decompress=False,
        logger=_Log(door.refusals),
    )


class _Log(logging.LoggerAdapter[logging.Logger]):
    """The server's log. Of what it cannot read as HTTP the server would write down the very bytes, in which a token may
    stand, and a traceback for anybody who asks for one: it is counted instead, like any other refusal."""

    def __init__(self, refusals: Refusals) -> None:
        super().__init__(logging.getLogger("aiohttp.server"))
        self._refusals = refusals

    def log(self, level: int, msg: object, *args: object, **more: Any) -> None:
        if isinstance(more.get("exc_info"), HttpProcessingError):
            remote = args[0] if args else ""
            self._refusals.note(Refusal(Reason.MALFORMED, group_of(address_of(str(remote))), ""))
        else:
            super().log(level, msg, *args, **more)
