"""The one way out over HTTP: what every channel, connector and ticket system calls through."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextvars import ContextVar

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.connector import Connection
from yarl import URL

from andon.core.failure import Failure, Rejected, Retryable
from andon.core.ports import Reply
from andon.core.reason import Reason

REPLY_CAP = 64 << 10
IN_FLIGHT = 256
CONNECT_SECONDS = 5.0
# Servers close idle connections after 15 to 75 s; giving one up earlier keeps requests off half-closed sockets.
IDLE_SECONDS = 10.0
DNS_SECONDS = 60

_HEADERS = {"User-Agent": "andon", "Accept-Encoding": "identity"}


class _Attempt:
    """Whether a byte of the request may have left."""

    __slots__ = ("begun",)

    def __init__(self) -> None:
        self.begun = False


_attempt: ContextVar[_Attempt] = ContextVar("attempt")


class _Request(aiohttp.ClientRequest):
    """Notes the moment before the first byte is written to an open connection.

    aiohttp's own tracing says the same but costs a tenth of a request. The writer task inherits the context of the
    caller, and aiohttp's own CONNECT to a proxy does not use this class, so it never counts as the request.
    """

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        if not self._body:
            _note(conn)
        return await super().send(conn)

    async def write_bytes(
        self, writer: AbstractStreamWriter, conn: Connection, content_length: int | None = None
    ) -> None:
        _note(conn)
        await super().write_bytes(writer, conn, content_length)


def _note(connection: Connection) -> None:
    transport = connection.transport
    if transport is not None and not transport.is_closing():
        _attempt.get().begun = True


class HttpWire:
    """`core.ports.Wire` over one aiohttp session with a pool of kept-alive connections.

    Build and close it on a running event loop. It trusts no environment variable, keeps no cookie, follows no
    redirect, verifies TLS against the system's roots, and repeats nothing on its own (aiohttp repeats idempotent
    methods once when a kept-alive connection turns out to be closed). `proxy` is an address such as
    http://10.0.8.3:3128; waiting for a free connection, DNS, TLS and the proxy's CONNECT all count as "not sent".
    """

    def __init__(self, *, proxy: str | None = None, in_flight: int = IN_FLIGHT, reply_cap: int = REPLY_CAP) -> None:
        self._reply_cap = reply_cap
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=in_flight, ttl_dns_cache=DNS_SECONDS, keepalive_timeout=IDLE_SECONDS),
            proxy=proxy,
            headers=_HEADERS,
            cookie_jar=aiohttp.DummyCookieJar(),
            request_class=_Request,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            trust_env=False,
        )

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

        Raises Retryable: NOT_SENT when no byte of the request left; TIMEOUT or CONNECTION, ambiguous, when one may
        have; BAD_REPLY, ambiguous, when the answer is longer than the cap or breaks HTTP, because an answer that
        cannot be read says no more about the effect than none. Raises Rejected when the address is not one. No text
        names more of the address than its host.
        """
        attempt = _Attempt()
        _attempt.set(attempt)
        try:
            async with (
                asyncio.timeout(deadline),
                self._session.request(
                    method, URL(url, encoded=True), data=body or None, headers=headers, allow_redirects=False
                ) as response,
            ):
                return Reply(
                    response.status,
                    await self._read(response),
                    {name.lower(): value for name, value in response.headers.items()},
                )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            failure = _failure(error, attempt, _host(url), deadline)
        raise failure

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        body = await response.content.readany()
        while not response.content.at_eof():
            if len(body) > self._reply_cap:
                break
            body += await response.content.readany()
        if len(body) > self._reply_cap:
            response.close()
            text = f"HTTP {response.status} with an answer of more than {self._reply_cap} bytes"
            raise Retryable(Reason.BAD_REPLY, text, ambiguous=True)
        return body

    async def close(self) -> None:
        """Closes every connection; may be called twice."""
        await self._session.close()


def _failure(error: Exception, attempt: _Attempt, host: str, deadline: float) -> Failure:
    """What an exception of the client means. Its own text may hold the address and is not passed on."""
    name = type(error).__name__
    bad_address = isinstance(error, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError)
    if bad_address or not isinstance(error, aiohttp.ClientError | OSError):
        return Rejected(Reason.REJECTED, f"the address or a header of the request to {host} is not valid ({name})")
    if not attempt.begun:
        return Retryable(Reason.NOT_SENT, f"no connection to {host} ({_cause(error)})")
    if isinstance(error, TimeoutError):
        return Retryable(Reason.TIMEOUT, f"no answer from {host} within {deadline:g} s", ambiguous=True)
    if isinstance(error, aiohttp.ClientResponseError):
        return Retryable(Reason.BAD_REPLY, f"{host} sent an answer that is not HTTP ({name})", ambiguous=True)
    return Retryable(Reason.CONNECTION, f"{host} broke the connection ({name})", ambiguous=True)


def _cause(error: Exception) -> str:
    """Why there is no connection, in words that hold no address."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy said {error.status}"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "its certificate is not trusted"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the name is not known"
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.strerror:
        return error.os_error.strerror
    return type(error).__name__


def _host(url: str) -> str:
    """Host and port of an address, without user, path and query."""
    return url.partition("://")[2].partition("/")[0].partition("?")[0].rpartition("@")[2] or "an address without a host"
