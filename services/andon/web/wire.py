"""The one way out: what every channel, connector and ticket system calls through."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Mapping

from andon.config.proxies import proxy_of
from andon.config.secrets import SecretMissing
from andon.config.settings import Settings
from andon.core.failure import Failure, Rejected, Retryable
from andon.core.fence import fenced
from andon.core.ports import Proxy, Reply, Way
from andon.core.reason import Reason
from andon.web.address import Address, Origin, checked_host, parse
from andon.web.connection import Connection, Lost, Unreadable
from andon.web.dial import Forbidden, ProxyRefused, authorization, dial, proxied
from andon.web.guard import Guard
from andon.web.pool import CONNECT_SECONDS, Pool
from andon.web.tls import Tls, Unusable

REPLY_CAP = 64 << 10
IN_FLIGHT = 256
_READ = 64 << 10

_COMMON = "User-Agent: andon\r\nAccept: */*\r\nAccept-Encoding: identity\r\n"
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_NO_VALUE = re.compile(r"[\0\r\n]|[^\0-\xff]")
_ANYWHERE = Way()
# What may happen before a connection is there. A UnicodeError, which is a ValueError, is a host name of odd letters.
_FAULTS = (OSError, TimeoutError, UnicodeError, SecretMissing, Unusable)


class HttpWire:
    """`core.ports.Wire` over a pool of kept-alive HTTP/1.1 connections.

    Build and close it on a running event loop. It obeys no environment variable but OpenSSL's two for authorities,
    keeps no cookie, follows no redirect, asks for no compression, verifies TLS against the host's name, and repeats
    nothing on its own. Waiting for a free connection, DNS, TLS and the proxy's CONNECT all count as "not sent". At most
    `in_flight` requests at one time. This machine is never reached through the proxy.
    """

    def __init__(
        self,
        way: Way = _ANYWHERE,
        *,
        in_flight: int = IN_FLIGHT,
        reply_cap: int = REPLY_CAP,
        buffer: memoryview | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._way = way
        self._guard = Guard(way.allow)
        self._in_flight = in_flight
        self._cap = reply_cap
        self._buffer = buffer or memoryview(bytearray(_READ))
        tls = Tls(way.ca, way.cert, way.key)
        self._pool = Pool(in_flight, reply_cap, self._buffer, self._dialled, tls.context)

    @property
    def way(self) -> Way:
        """How its connections leave."""
        return self._way

    def apart(self, way: Way, /) -> HttpWire:
        """A wire with the same bounds and connections of its own."""
        return HttpWire(way, in_flight=self._in_flight, reply_cap=self._cap, buffer=self._buffer)

    async def connect(self, host: str, port: int, /, *, deadline: float = 15.0) -> socket.socket:
        """A connected, non-blocking socket for another protocol, TCP to the host itself or through the proxy's tunnel.

        Raises Retryable NOT_SENT, and Rejected when the host is none or is not allowed.
        """
        place = f"{host}:{port}"
        try:
            checked = checked_host(f"[{host}]" if ":" in host else host)
            async with asyncio.timeout(min(deadline, CONNECT_SECONDS)):
                return await dial(checked, port, self._guard, self._way.proxy)
        except Forbidden as error:
            raise _forbidden(place, error) from None
        except ValueError as error:
            raise Rejected(Reason.REJECTED, f"no connection to {place}: {_said(error)}") from None
        except _FAULTS as error:
            cause = _cause(error)
        raise Retryable(Reason.NOT_SENT, f"no connection to {place} ({cause})")

    async def request(
        self,
        method: str,
        url: str,
        /,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        deadline: float = 15.0,
    ) -> Reply:
        """One request with one total deadline in seconds; any status is returned, 3xx too.

        Raises Retryable: NOT_SENT when no byte of the request left, or none came past a proxy that wants an account;
        TIMEOUT or CONNECTION, ambiguous, when one may have; BAD_REPLY, ambiguous, when the answer is longer than the
        cap or breaks HTTP, because an answer that cannot be read says no more about the effect than none. Raises
        Rejected when the address is not one, or not one that the way allows. No text names more of the address than
        its host.
        """
        ends = self._loop.time() + deadline
        try:
            address = parse(url)
            request = self._written(method, address, headers or {}, body)
        except SecretMissing as missing:
            raise Retryable(Reason.NOT_SENT, str(missing)) from None
        except ValueError as error:
            raise Rejected(Reason.REJECTED, f"no request to {_host(url)}: {_said(error)}") from None
        connection = self._pool.kept(address.origin) or await self._connection(address, ends)
        try:  # nothing stands between this and the place that was taken: it comes back whatever happens
            reply = await self._asked(connection, address, request, ends, deadline)
        finally:
            self._pool.leave(address.origin, connection)
        if reply.status == 407 and self._reader(address) is not None:  # only a proxy says this (RFC 9110)
            raise Retryable(Reason.NOT_SENT, f"no request to {address.authority}: the proxy said 407")
        return reply

    async def _asked(
        self, connection: Connection, address: Address, request: bytes, ends: float, deadline: float
    ) -> Reply:
        """The answer of a connection that may be asked; one that owes an answer is closed."""
        now = self._loop.time()
        if now >= ends or fenced(now):  # this process stood still: who asked may have no right to send any more
            raise Retryable(Reason.NOT_SENT, f"no request to {address.authority}: the deadline had passed")
        answer = connection.ask(request)
        alarm = self._loop.call_at(ends, _late, answer)
        failure: Retryable
        try:
            return await answer
        except TimeoutError:
            text = f"no answer from {address.authority} within {deadline:g} s"
            failure = Retryable(Reason.TIMEOUT, text, ambiguous=True)
        except Lost:
            failure = Retryable(Reason.CONNECTION, f"{address.authority} broke the connection", ambiguous=True)
        except Unreadable as error:
            text = f"the answer from {address.authority} cannot be used: {error}"
            failure = Retryable(Reason.BAD_REPLY, text, ambiguous=True)
        finally:
            alarm.cancel()
            if not answer.done() or answer.cancelled() or answer.exception() is not None:
                connection.close()  # its answer may still come, and must not meet another request
        raise failure from None

    def _written(self, method: str, address: Address, headers: Mapping[str, str], body: bytes) -> bytes:
        """The request as it goes over the connection. Raises ValueError."""
        if method not in _METHODS:
            raise ValueError("a method that is not spoken here")
        target = address.target
        more = ""
        proxy = self._reader(address)
        if proxy is not None:
            if not self._guard.trusts(address.origin.host):
                raise ValueError("without TLS the proxy would choose where it goes; write https, or allow the host")
            target = f"http://{address.authority}{target}"
            more = authorization(proxy)
        for name, value in headers.items():
            if not _NAME.fullmatch(name):
                raise ValueError("a header whose name is none")
            if _NO_VALUE.search(value):
                raise ValueError(f"the value of the header {name} is not one line of Latin letters and signs")
            more += f"{name}: {value}\r\n"
        if body or method not in ("GET", "DELETE"):
            more += f"Content-Length: {len(body)}\r\n"
        head = f"{method} {target} HTTP/1.1\r\nHost: {address.authority}\r\n{_COMMON}{more}\r\n"
        return head.encode("latin-1") + body

    def _reader(self, address: Address) -> Proxy | None:
        """The proxy that reads the request and passes it on; where there is TLS it sees none."""
        return None if address.origin.tls else proxied(address.origin.host, self._way.proxy)

    async def _connection(self, address: Address, ends: float) -> Connection:
        """A connection that may be asked. Raises Retryable NOT_SENT, and Rejected where none is allowed."""
        try:
            async with asyncio.timeout_at(ends):
                return await self._pool.connected(address)
        except Forbidden as error:
            raise _forbidden(address.authority, error) from None
        except _FAULTS as error:
            cause = _cause(error)
        raise Retryable(Reason.NOT_SENT, f"no connection to {address.authority} ({cause})")

    async def _dialled(self, origin: Origin) -> socket.socket:
        return await dial(origin.host, origin.port, self._guard, self._way.proxy, tunnel=origin.tls)

    async def close(self) -> None:
        """Closes every connection that is not in use, and the others after their answers; may be called twice."""
        self._pool.close()
        await asyncio.sleep(0)  # the loop closes the sockets in its next turn


def site_wire(settings: Settings) -> HttpWire:
    """The wire of a service: through the site's proxy, if it has one."""
    return HttpWire(Way(proxy=proxy_of(settings.site.proxy)))


def _late(answer: asyncio.Future[Reply]) -> None:
    if not answer.done():
        answer.set_exception(TimeoutError())


def _forbidden(place: str, error: Forbidden) -> Failure:
    kind, reason = (Retryable, Reason.NOT_SENT) if error.passing else (Rejected, Reason.REJECTED)
    return kind(reason, f"no connection to {place}: {error}")


def _said(error: Exception) -> str:
    """Our own words; those of a codec would quote what it could not encode."""
    return type(error).__name__ if isinstance(error, UnicodeError) else str(error)


def _cause(error: Exception) -> str:
    """Why there is no connection, in words that hold no address."""
    if isinstance(error, SecretMissing | Unusable):
        return str(error)
    if isinstance(error, ProxyRefused):
        return f"the proxy said {error.status}" if error.status else "the proxy does not speak HTTP"
    if isinstance(error, ssl.SSLCertVerificationError):
        return "its certificate is not trusted"
    if isinstance(error, socket.gaierror):
        return "the name is not known"
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) and error.strerror:
        return error.strerror
    return type(error).__name__


def _host(url: str) -> str:
    """Host and port of an address, without user, path and query."""
    return url.partition("://")[2].partition("/")[0].partition("?")[0].rpartition("@")[2] or "an address without a host"
