"""Which addresses connections may go to.

Networks: the special-purpose registries of IANA (RFC 6890 and its updates). Addresses of metadata services: those that
the clouds document (AWS, Azure, Alibaba; the others use AWS's).
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ip_network(text) for text in texts)


METADATA = "a metadata service's"
# The first that fits gives the word; an address that none fits is a public one.
_KINDS: tuple[tuple[str, tuple[Network, ...]], ...] = (
    (METADATA, _networks("169.254.169.254", "168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254")),
    ("the unspecified", _networks("0.0.0.0/8", "::")),
    ("a loopback", _networks("127.0.0.0/8", "::1")),
    ("a private", _networks("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")),
    ("a link-local", _networks("169.254.0.0/16", "fe80::/10")),
    ("a carrier's shared", _networks("100.64.0.0/10")),
    ("a multicast", _networks("224.0.0.0/4", "ff00::/8")),
    # Each of these holds an IPv4 address, to which a gateway on the way may carry the connection.
    ("a NAT64", _networks("64:ff9b::/96", "64:ff9b:1::/48")),
    ("a 6to4", _networks("2002::/16", "192.88.99.0/24")),
    ("a Teredo", _networks("2001::/32")),
    ("an IPv4-mapped", _networks("::ffff:0:0/96", "::ffff:0:0:0/96")),
    ("an IPv4-compatible", _networks("::/96")),
    (
        "a reserved",
        _networks(
            "192.0.0.0/24",
            "192.0.2.0/24",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "240.0.0.0/4",
            "2001::/23",
            "2001:db8::/32",
            "3fff::/20",
        ),
    ),
)
_UNICAST = IPv6Network("2000::/3")
# Where servers of one's own stand.
_OWN = _networks("127.0.0.0/8", "::1", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")


def kind_of(address: Address) -> str | None:
    """What an address that is no public one is, with its article: "a private"; None for a public one."""
    for kind, networks in _KINDS:
        if any(address in network for network in networks):
            return kind
    return "a reserved" if address.version == 6 and address not in _UNICAST else None


def require_entry(text: str) -> str:
    """The text, when it is a network or a host name, as `Way.allow` takes them. Raises ValueError."""
    try:
        ip_network(text)
    except ValueError:
        if "/" in text or ":" in text or text.rpartition(".")[2].isdigit() or not is_name(text):
            raise ValueError(f"{text!r} is neither a network like 10.1.0.0/16 nor a host name") from None
    return text


def is_name(text: str) -> bool:
    """Whether the text can be a host name: letters, digits, hyphens and underscores between dots."""
    labels = text.removesuffix(".").split(".")
    return len(text) <= 253 and all(
        label.isascii() and label.replace("-", "").replace("_", "").isalnum() and label[0] != "-" for label in labels
    )


class Guard:
    """Decides by the entries of `Way.allow`; None allows whatever stands on a network of one's own."""

    def __init__(self, allow: Iterable[str] | None) -> None:
        entries = list(allow) if allow is not None else []
        self.strict = allow is not None
        self._names = frozenset(entry.lower() for entry in entries if is_name(entry) and not _is_network(entry))
        self._networks = _OWN if allow is None else tuple(ip_network(entry) for entry in entries if _is_network(entry))

    def trusts(self, host: str) -> bool:
        """Whether this host was written down by the operator, so that it may stand on a network of one's own."""
        return not self.strict or host.lower() in self._names

    def refuses(self, host: str, address: str) -> str | None:
        """What `address`, which `host` leads to, is, if it must not be connected to; None when it may be."""
        ip = ip_address(address.partition("%")[0])
        kind = kind_of(ip)
        if kind is None:
            return None
        allowed = (*self._networks, *_OWN) if self.trusts(host) else self._networks
        if kind == METADATA:  # never by a network around it: who means it names it
            allowed = tuple(network for network in allowed if network.num_addresses == 1)
        return None if any(ip in network for network in allowed) else kind


def _is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True
