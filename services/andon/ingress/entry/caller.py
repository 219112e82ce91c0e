"""Who calls: the address a request really comes from, also behind proxies.

What proxies say is believed only as far as they are trusted: from the connection's own peer backwards, until the first
address that is no trusted proxy. Everything further left was written by that caller, who may write what he likes.

Sources: RFC 7239 (Forwarded) and MDN, X-Forwarded-For, "Selecting an IP address".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

from andon.config.addresses import network_of

_PAIR = r'\s*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)=("(?:[^"\\]|\\.)*"|[^\s",;]+)\s*'
_ELEMENT = re.compile(rf"{_PAIR}(?:;{_PAIR})*")
_PAIRS = re.compile(_PAIR)
_NO_PORT = re.compile(r"\[([^\]]+)\](?::\d+)?|(\d+\.\d+\.\d+\.\d+):\d+")
_NOBODY = "_"


class Networks:
    """Networks as the configuration file writes them. Empty, it holds nobody and is false."""

    def __init__(self, written: Iterable[str] = ()) -> None:
        self._networks = tuple(network_of(text) for text in written)
        self._holds = lru_cache(4_096)(self._look)

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __contains__(self, address: str | None) -> bool:
        """Whether the address, as `address_of` writes it, is known and in one of them."""
        return address is not None and bool(self._networks) and self._holds(address)

    def _look(self, address: str) -> bool:
        return any(ip_address(address) in network for network in self._networks)


@lru_cache(4_096)
def address_of(text: str) -> str | None:
    """The address in a text, in the one form all of them have here: without a port and a zone, and IPv4 as IPv4, also
    where it came in IPv6 form. None if it is no address."""
    match = _NO_PORT.fullmatch(text)
    if match:
        text = match[1] or match[2]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return str((isinstance(address, IPv6Address) and address.ipv4_mapped) or address)


def caller(peer: str | None, x_forwarded_for: Sequence[str], forwarded: Sequence[str], trusted: Networks) -> str | None:
    """The address behind trusted proxies; `x_forwarded_for` and `forwarded` are the lines of these headers.

    None: nobody can say, because a proxy says nothing of use, or the two headers contradict each other: a proxy that
    writes one of them lets a forged other one through.
    """
    nearest = address_of(peer or "")
    if nearest not in trusted or not (x_forwarded_for or forwarded):
        return nearest
    found = set()
    if x_forwarded_for:
        found.add(_walk(nearest, [one.strip() for one in ",".join(x_forwarded_for).split(",")], trusted))
    if forwarded:
        found.add(_walk(nearest, _nodes(",".join(forwarded)), trusted))
    return found.pop() if len(found) == 1 else None


def group_of(address: str | None) -> str:
    """The address, or of IPv6 its /64, which one subscriber has; how strangers are told apart."""
    if address and ":" in address:
        return str(ip_network(f"{address}/64", strict=False))
    return address or "unknown"


def _walk(nearest: str | None, nodes: Sequence[str], trusted: Networks) -> str | None:
    """The first from the right that is no trusted proxy; the outermost where all are."""
    for node in reversed(nodes):
        if nearest not in trusted:
            break
        nearest = address_of(node)
    return nearest


def _nodes(line: str) -> list[str]:
    """The `for` of each element of a Forwarded header; what is not one is nobody."""
    return [_node(element) for element in _elements(line)]


def _elements(line: str) -> list[str]:
    """Its elements; a comma within quotes parts nothing."""
    found, begin, quoted, escaped = [], 0, False, False
    for at, letter in enumerate(line):
        if escaped:
            escaped = False
        elif letter == "\\":
            escaped = quoted
        elif letter == '"':
            quoted = not quoted
        elif letter == "," and not quoted:
            found.append(line[begin:at])
            begin = at + 1
    return [*found, line[begin:]]


def _node(element: str) -> str:
    if not _ELEMENT.fullmatch(element):
        return _NOBODY
    named = [value for name, value in _PAIRS.findall(element) if name.lower() == "for"]
    return named[0].strip('"') if len(named) == 1 else _NOBODY
