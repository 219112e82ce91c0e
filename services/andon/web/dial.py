"""Opening a TCP connection: to the very address that was checked, or through a proxy's tunnel."""

from __future__ import annotations

import asyncio
import socket
from base64 import b64encode
from collections import deque
from ipaddress import ip_address
from typing import Any

from andon.config.addresses import is_loopback
from andon.core.ports import Proxy
from andon.web.guard import Guard
from andon.web.lookup import LOOKUPS

_HEAD_CAP = 8 << 10
_BEHIND_PROXY = Guard(None)
_NEXT_SECONDS = 0.25


class Forbidden(Exception):  # noqa: N818 - what the way says of an address, named by it
    """The way does not allow this address; the text says why.

    `passing`: the operator wrote the name down, so that it is the name server that leads astray, and not for ever.
    """

    def __init__(self, text: str, *, passing: bool = False) -> None:
        super().__init__(text)
        self.passing = passing


class ProxyRefused(OSError):  # noqa: N818 - what the proxy did, named by it
    """The proxy opens no tunnel; `status` is None when its answer was no HTTP."""

    def __init__(self, status: int | None) -> None:
        super().__init__()
        self.status = status


def proxied(host: str, proxy: Proxy | None) -> Proxy | None:
    """The proxy for a host: none for this machine, which on a proxy would be the proxy."""
    return None if proxy is None or is_loopback(host) else proxy


def authorization(proxy: Proxy) -> str:
    """The header line for the proxy, with its line break; empty without an account. Raises SecretMissing."""
    if proxy.account is None:
        return ""
    user, password = proxy.account()
    return f"Proxy-Authorization: Basic {b64encode(f'{user}:{password}'.encode()).decode()}\r\n"


async def dial(host: str, port: int, guard: Guard, proxy: Proxy | None, *, tunnel: bool = True) -> socket.socket:
    """A connected, non-blocking socket to the host, or to the proxy where `tunnel` is false and there is one.

    Without a tunnel the proxy reads the host in the request and looks it up, so that the host must be a trusted one.
    Has no deadline of its own. Raises Forbidden, OSError, and SecretMissing when the proxy's account is not there.
    """
    way = proxied(host, proxy)
    if way is None:
        return await _connected(await _addresses(host, port, guard))
    place = await _place(host, port, guard)
    sock = await _connected(await _addresses(way.host, way.port, _BEHIND_PROXY))
    try:
        if tunnel:
            await _open_tunnel(sock, place, authorization(way))
    except BaseException:
        sock.close()
        raise
    return sock


async def _addresses(host: str, port: int, guard: Guard) -> list[tuple[socket.AddressFamily, Any]]:
    """Every address of the host, each of them allowed. One that is not forbids the host: what is connected to must not
    depend on which address answers first."""
    found: dict[Any, socket.AddressFamily] = {}
    for family, address in _of_number(host, port) or await LOOKUPS.addresses(host, port):
        if family in (socket.AF_INET, socket.AF_INET6):
            kind = guard.refuses(host, str(address[0]))
            if kind is not None:
                text = f"{host} is {kind} address{_shown(host, str(address[0]))}, which is not allowed here"
                raise Forbidden(text, passing=host != address[0] and guard.trusts(host))
            found.setdefault(address, family)
    if not found:
        raise socket.gaierror(socket.EAI_NONAME, "no address")
    return [(family, address) for address, family in found.items()]


def _of_number(host: str, port: int) -> list[tuple[socket.AddressFamily, Any]]:
    """The one address a number means, found without the threads in which slow name servers are waited for."""
    try:
        version = ip_address(host).version
    except ValueError:
        return []
    return [(socket.AF_INET, (host, port)) if version == 4 else (socket.AF_INET6, (host, port, 0, 0))]


def _shown(host: str, address: str) -> str:
    return "" if host == address else f" ({address})"


async def _connected(addresses: list[tuple[socket.AddressFamily, Any]]) -> socket.socket:
    """A socket to the address that answers first. Each is begun when one before it fails, or has not answered for a
    while (RFC 8305), because an address that hears nothing would take the time of all."""
    left = deque(addresses)
    begun: set[asyncio.Task[socket.socket]] = set()
    failure: OSError = ConnectionRefusedError()
    try:
        while left or begun:
            if left:
                begun.add(asyncio.create_task(_attempt(*left.popleft())))
            wait = _NEXT_SECONDS if left else None
            for task in (await asyncio.wait(begun, timeout=wait, return_when=asyncio.FIRST_COMPLETED))[0]:
                begun.remove(task)
                try:
                    return task.result()
                except OSError as error:
                    failure = error
        raise failure
    finally:
        for task in begun:
            task.add_done_callback(_close_late)
            task.cancel()


async def _attempt(family: socket.AddressFamily, address: Any) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


def _close_late(attempt: asyncio.Task[socket.socket]) -> None:
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()  # connected in the very step in which another was taken, or nobody waited any more


async def _place(host: str, port: int, guard: Guard) -> str:
    """What a proxy is asked for: the name where the operator wrote it down, else the address checked here, so that the
    proxy has nothing left to look up."""
    if not guard.trusts(host):
        host = (await _addresses(host, port, guard))[0][1][0]
    elif _of_number(host, port):
        await _addresses(host, port, guard)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def _open_tunnel(sock: socket.socket, place: str, account: str) -> None:
    """CONNECT (RFC 9110, section 9.3.6). Reads not one byte behind the proxy's answer: it is the server's."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{account}\r\n".encode())
    status = 100
    while 100 <= status < 200:
        status = _status(await _head(sock))
    if not 200 <= status < 300:
        raise ProxyRefused(status)


async def _head(sock: socket.socket) -> bytes:
    loop = asyncio.get_running_loop()
    head = bytearray()
    while not head.endswith(b"\r\n\r\n"):
        byte = await loop.sock_recv(sock, 1)
        if not byte:
            raise ConnectionAbortedError
        head += byte
        if len(head) > _HEAD_CAP:
            raise ProxyRefused(None)
    return bytes(head)


def _status(head: bytes) -> int:
    words = head.split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
        raise ProxyRefused(None)
    return int(words[1])
