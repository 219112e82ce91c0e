"""Where a request goes: the parts of an http or https address, checked once."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple
from urllib.parse import quote

from andon.web.guard import is_name

_PORTS = {"http": 80, "https": 443}
# All that may stand in a path and query as it is (RFC 3986), and the sign of what is encoded already.
_SAFE = "%/:=&?~+!$,;'@()*[]-._"

# By IDNA 2003, which Python has, they are other letters: weiß.de would be weiss.de, which is somebody else's.
_OTHERWISE = frozenset("ßẞς\u200c\u200d")


class Origin(NamedTuple):
    """One server: what connections are kept for."""

    tls: bool
    host: str
    port: int


class Address(NamedTuple):
    """`authority` is host and port as they stand in the address, `target` path and query in ASCII."""

    origin: Origin
    authority: str
    target: str


@lru_cache(maxsize=1_024)  # every call asks, a channel and the wire both, and a site has few addresses
def parse(url: str) -> Address:
    """The parts of an address; a fragment is dropped. Raises ValueError when it is none, with no word of it in the
    text: an address may hold a secret."""
    scheme, mark, rest = url.partition("://")
    scheme = scheme.lower()
    if not mark or scheme not in _PORTS:
        raise ValueError("neither http:// nor https://")
    rest = rest.partition("#")[0]
    end = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
    authority, target = rest[:end], rest[end:]
    if not target.startswith("/"):
        target = "/" + target
    if not (target.isascii() and target.isprintable()) or " " in target:
        target = quote(target, safe=_SAFE)
    origin, authority = _origin(scheme, authority)
    return Address(origin, authority, target)


def _origin(scheme: str, authority: str) -> tuple[Origin, str]:
    if "@" in authority:
        raise ValueError("a user in the address; credentials go into headers")
    if not authority.isascii():
        authority = in_ascii(authority)
    host, colon, port = authority.rpartition(":")
    if not colon or "]" in port:
        host, port = authority, ""
    literal = checked_host(host)
    if (colon and port) and not (port.isdigit() and 0 < int(port) < 65_536):
        raise ValueError("a port is a number from 1 to 65535")
    return Origin(scheme == "https", literal, int(port) if port else _PORTS[scheme]), authority


def in_ascii(host: str) -> str:
    """A host with letters of any language, in ASCII (IDNA 2003). Raises ValueError, a UnicodeError among them."""
    if _OTHERWISE & set(host):
        raise ValueError("ß, ς or a joiner in a host, which is another host to some: write it in ASCII, as xn--…")
    return host.encode("idna").decode("ascii")


def checked_host(host: str) -> str:
    """The host without brackets, if it is a name or a number in its one usual form. Raises ValueError.

    `2130706433`, `0x7f.1` and `127.1` are 127.0.0.1 to the system: whoever looks at them sees something else than what
    is connected to.
    """
    if host.startswith("[") and host.endswith("]"):
        try:
            IPv6Address(host[1:-1])
        except ValueError:
            raise ValueError("no host") from None
        if "%" in host:
            raise ValueError("no host")
        return host[1:-1]
    last = host.removesuffix(".").rpartition(".")[2].lower()
    if last.isdecimal() or (last.startswith("0x") and not last[2:].strip("0123456789abcdef")):
        try:
            usual = str(IPv4Address(host)) == host
        except ValueError:
            usual = False
        if not usual:
            raise ValueError("a number for a host; an IPv4 address is written as four decimal numbers, 192.168.1.10")
    elif not is_name(host):
        raise ValueError("no host")
    return host
