"""Places in the world and in the network as the file writes them: time zones, host:port, broker lists."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import AfterValidator

from andon.config.mistakes import nearest

_HOST_PORT = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)):(?P<port>[0-9]{1,5})"
)
_STARS = re.compile(r"(?P<numbers>\d{1,3}(?:\.\d{1,3}){0,2})(?P<stars>(?:\.\*){1,3})")
EMBEDDED = "embedded"

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


def host_port(text: str) -> tuple[str, int]:
    """Host and port of `127.0.0.1:8700`, `name:8700` or `[::1]:8700`; raises ValueError."""
    match = _HOST_PORT.fullmatch(text)
    if not match or int(match["port"]) > 65_535:
        raise ValueError(f"{text!r} is not host:port; write for example 127.0.0.1:8700 or [::1]:8700")
    return match["v6"] or match["name"], int(match["port"])


@lru_cache(maxsize=512)  # asked before each call to a webhook whose address is a secret
def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the host, which may be written as names may: LOCALHOST, `localhost.`"""
    if host.lower().removesuffix(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def network_of(text: str) -> IpNetwork:
    """The network of `10.0.0.0/8`, `fd00::/8`, one address, or `10.3.*.*`, whose stars stand at its end.

    An IPv4 network in its IPv6 form (`::ffff:10.0.0.0/104`) is the IPv4 network. Raises ValueError.
    """
    stars, plain = _STARS.fullmatch(text), text
    if stars:
        numbers = stars["numbers"].split(".")
        if len(numbers) + stars["stars"].count("*") == 4:
            plain = f"{'.'.join([*numbers, '0', '0', '0'][:4])}/{8 * len(numbers)}"
    try:
        address, loose = ipaddress.ip_interface(plain).ip, ipaddress.ip_network(plain, strict=False)
        if "%" in plain:
            raise ValueError
    except ValueError:
        form = "10.0.0.0/8, 10.3.*.*, fd00::/8 or one address"
        raise ValueError(f"{text!r} is not a network; write for example {form}") from None
    if address != loose.network_address:
        raise ValueError(f"{text!r} is an address within a network; the network is {loose}")
    mapped = loose.network_address.ipv4_mapped if isinstance(loose, ipaddress.IPv6Network) else None
    return ipaddress.IPv4Network((mapped, loose.prefixlen - 96)) if mapped and loose.prefixlen >= 96 else loose


def _network(text: str) -> str:
    network_of(text)
    return text


def _proxy(text: str) -> str:
    scheme, mark, rest = text.partition("://")
    account, _, place = rest.removesuffix("/").rpartition("@")
    try:
        host_port(place)
    except ValueError:
        mark = ""
    # A password in an address is a mistake of its own, and said as one (config.rules).
    if not mark or scheme.lower() != "http" or (account and ":" not in account):
        raise ValueError("a proxy is written as http://host:port, its account as `user` and `password` beside `url`")
    return text


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        near = nearest(name, available_timezones())
        raise ValueError(f"there is no time zone {name!r}" + (f"; did you mean `{near}`?" if near else "")) from None
    return name


def _address(text: str) -> str:
    host_port(text)
    return text


def bootstrap(text: str) -> str:
    """`embedded`, or host:port of each broker with commas; raises ValueError."""
    for broker in [] if text == EMBEDDED else [part.strip() for part in text.split(",")]:
        try:
            _, port = host_port(broker)
        except ValueError:
            near = f"; did you mean `{EMBEDDED}`?" if nearest(broker, [EMBEDDED]) else ""
            raise ValueError(f"{broker!r} is neither `{EMBEDDED}` nor host:port{near}") from None
        if port == 0:
            raise ValueError(f"{broker!r}: no broker listens on port 0")
    return text


Zone = Annotated[str, AfterValidator(_zone)]
ProxyUrl = Annotated[str, AfterValidator(_proxy)]
Address = Annotated[str, AfterValidator(_address)]
Network = Annotated[str, AfterValidator(_network)]
Bootstrap = Annotated[str, AfterValidator(bootstrap)]
