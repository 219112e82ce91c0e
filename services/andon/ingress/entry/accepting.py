"""Where the door listens. Whoever may not call is hung up on before TLS has begun: a handshake costs more than a look,
and says more than a stranger has to know."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Any

from aiohttp import web

from andon.core.reason import Reason
from andon.ingress.door import Door
from andon.ingress.entry.caller import address_of, group_of
from andon.ingress.refusals import Refusal

log = logging.getLogger(__name__)

BACKLOG = 1_024
CONNECTION = "connection"
_AT_ONE_TIME = 100
_NO_IPV6 = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


async def accepting(runner: web.AppRunner, door: Door, host: str, port: int, tls: ssl.SSLContext | None) -> None:
    """Listens on every address that the host's name has, but for those of IPv6 on a machine without it, where
    `localhost` often has one all the same. Without TLS nobody is hung up on: a refusal can be said. Raises OSError."""

    def may(peer: str) -> bool:
        address = address_of(peer)
        if tls is None or door.gate.connects(address):
            return True
        door.refusals.note(Refusal(Reason.FORBIDDEN, group_of(address), CONNECTION))
        return False

    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    several = any(family != socket.AF_INET6 for family, *_ in found)
    for family, kind, protocol, _, place in dict.fromkeys(found):
        try:
            listening = _bound(family, kind, protocol, place)
        except OSError as error:
            if several and family == socket.AF_INET6 and error.errno in _NO_IPV6:
                log.warning("the door does not listen on %s: this machine has no such address", place[0])
                continue
            raise
        listening.may = may
        try:
            await web.SockSite(runner, listening, ssl_context=tls, backlog=BACKLOG).start()
        except OSError:
            listening.close()
            raise


def _bound(family: int, kind: int, protocol: int, place: Any) -> _Listening:
    """Raises OSError."""
    listening = _Listening(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind(place)
    except OSError:
        listening.close()
        raise
    return listening


class _Listening(socket.socket):
    """Hands on the connections of peers that may call, and closes every other one."""

    may: Callable[[str], bool]

    def accept(self) -> tuple[socket.socket, Any]:
        """Raises BlockingIOError when there is none, and now and then for others to have their turn."""
        for _ in range(_AT_ONE_TIME):
            connection, peer = super().accept()
            if self.may(peer[0]):
                return connection, peer
            connection.close()
        raise BlockingIOError
