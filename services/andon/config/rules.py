"""Rules between the keys of a file: checked on plain data, so that a mistake of shape elsewhere hides none of these."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from andon.config.addresses import EMBEDDED, host_port, is_loopback
from andon.config.mistakes import Path, hint
from andon.config.plugs import GROUPS
from andon.config.references import entries, routes
from andon.config.secrets import SecretMissing, SecretRef
from andon.config.settings import Listen
from andon.config.shapes import Found
from andon.core.event import TELLER
from andon.core.text import is_line

_FETCHED = ("kafka",)
_OURS = f"`{TELLER}` is the source of what Andon itself tells; use another"
_STORES = ("sqlite", "postgresql+psycopg")
# A password before the host, or a robot's key in the query: both are how vendors' pages write addresses.
_SECRET_IN_ADDRESS = re.compile(
    r"[a-z][a-z0-9+.-]*://(?:[^/@\s:]*:[^/@\s]+@|\S*[?&](?:key|token|access_token|secret|password)=)", re.IGNORECASE
)


def rule_mistakes(data: Any) -> Iterator[Found]:
    """Every rule that is broken."""
    yield from _door(data)
    yield from _sources(data)
    yield from _kafka(data)
    yield from _store(data)
    yield from _otel(data)
    yield from _route_tree(data)
    yield from _names(data)
    yield from _secrets_in_addresses(data, ())


def _door(data: Any) -> Iterator[Found]:
    listen = entries(data, "listen")
    address = listen.get("address", Listen().address)
    cert, key = listen.get("cert"), listen.get("key")
    if (cert is None) != (key is None):
        yield Found(
            ("listen",), f"`{'key' if key is None else 'cert'}` is missing: a certificate and its key go together"
        )
        return
    try:
        host, _ = host_port(address) if isinstance(address, str) else ("localhost", 0)
    except ValueError:
        return  # said by its type
    if cert is None and listen.get("client_ca") is not None:
        yield Found(("listen", "client_ca"), "`client_ca` is for TLS; give `cert` and `key`")
    if cert is None and not is_loopback(host):
        text = f"plain HTTP is refused on `{host}`, which other machines can reach; give `cert` and `key`"
        yield Found(("listen", "address"), text)


def _sources(data: Any) -> Iterator[Found]:
    with_authority = entries(data, "listen").get("client_ca") is not None
    for name, source in entries(data, "sources").items():
        if name == TELLER:
            yield Found(("sources", name), _OURS, at_key=True)
        if not isinstance(source, dict):
            continue
        if source.get("source") == TELLER:
            yield Found(("sources", name, "source"), _OURS)
        kind, wanted = source.get("kind"), source.get("client_cert")
        for key in ("allow", "rate", "client_cert"):
            if kind in _FETCHED and source.get(key) is not None:
                yield Found(
                    ("sources", name, key), f"nobody calls a `{kind}` source, which fetches: `{key}` makes no sense"
                )
        if isinstance(wanted, str) and wanted != "none" and not with_authority:
            yield Found(("sources", name, "client_cert"), "`client_cert` needs `listen.client_ca`, which signs it")


def _kafka(data: Any) -> Iterator[Found]:
    kafka = entries(data, "kafka")
    own = kafka.get("bootstrap", EMBEDDED) == EMBEDDED
    for key in ("sasl", "tls"):
        if own and kafka.get(key) is not None:
            yield Found(
                ("kafka", key), f"`{key}` is for a cluster of your own; the embedded node listens on loopback only"
            )
    yield from _registry(entries(kafka, "registry"))
    replication = kafka.get("replication")
    if own and isinstance(replication, int) and replication > 3:
        yield Found(
            ("kafka", "replication"), "the embedded Kafka has three nodes at most, so `replication` is at most 3"
        )
    if not own and kafka.get("data") is not None:
        yield Found(("kafka", "data"), "`data` is for the embedded node; a cluster of your own keeps its data itself")


def is_store_address(url: str) -> bool:
    """Whether the text can be the address of a store."""
    scheme, colon, rest = url.partition("://")
    return bool(colon and rest) and scheme in _STORES


def _registry(registry: Any) -> Iterator[Found]:
    place, url = ("kafka", "registry"), registry.get("url")
    given = [key for key in ("user", "password") if registry.get(key) is not None]
    if len(given) == 1:
        yield Found(place, f"`{given[0]}` stands alone: name and password go together")
    if given and registry.get("token") is not None:
        yield Found((*place, "token"), "`token` is in place of `user` and `password`")
    if isinstance(url, str):
        scheme, host = _http(url)
        name = host.rpartition(":")[0].strip("[]") or host
        if not host:
            yield Found((*place, "url"), "`url` must be http://host:port or https://host:port, with a path if need be")
        elif scheme == "http" and (given or registry.get("token")) and not is_loopback(name):
            yield Found((*place, "url"), f"a password would go to `{name}` over plain HTTP; use https")


def _http(url: str) -> tuple[str, str]:
    """The scheme and the host, with its port, of an address over HTTP; no host where it is none."""
    scheme, _, rest = url.partition("://")
    return scheme, rest.partition("/")[0].partition("?")[0] if scheme in ("http", "https") else ""


def _otel(data: Any) -> Iterator[Found]:
    endpoint = entries(data, "otel").get("endpoint")
    if isinstance(endpoint, str) and not _http(endpoint)[1]:
        text = (
            "`endpoint` must be http://host:port or https://host:port: OTLP over HTTP, 4318 as a rule (4317 is gRPC's)"
        )
        yield Found(("otel", "endpoint"), text)


def _store(data: Any) -> Iterator[Found]:
    store = entries(data, "store")
    url, hosts = store.get("url"), store.get("hosts")
    if isinstance(url, str) and url.startswith(("env:", "file:")):
        yield from _referred(url, hosts)
        return
    if isinstance(url, str) and not is_store_address(url):
        scheme, colon, _ = url.partition("://")
        near = hint(scheme, _STORES) if colon else ""
        text = f"`url` must be sqlite:////folder or postgresql+psycopg://host/name{near}"
        yield Found(("store", "url"), text)
    elif url is None or str(url).startswith("sqlite:"):
        yield from _one_host(hosts)


def _referred(url: str, hosts: Any) -> Iterator[Found]:
    """The address itself is looked at where this machine has it, and never shown."""
    try:
        address = SecretRef(url).reveal()
    except (SecretMissing, ValueError):
        return  # whoever needs it says so
    if not is_store_address(address):
        yield Found(("store", "url"), "what this names must be sqlite:////folder or postgresql+psycopg://host/name")
    elif address.startswith("sqlite:"):
        yield from _one_host(hosts)


def _one_host(hosts: Any) -> Iterator[Found]:
    if isinstance(hosts, int) and hosts > 1:
        text = f"SQLite serves one host, not {hosts}: for several give `url` as postgresql+psycopg://host/name"
        yield Found(("store", "hosts"), text)


def _route_tree(data: Any) -> Iterator[Found]:
    for path, node in routes(data):
        if path == ("route",):
            yield from _root(node)
        yield from _unreachable(path, node)


def _root(node: Any) -> Iterator[Found]:
    if node.get("receiver") is None:
        yield Found(("route",), "`receiver` is missing: the root's receiver hears of all that no other route takes")
    for key in ("matchers", "continue"):
        if node.get(key):
            yield Found(("route", key), f"`{key}` has no place at the root, which takes every event")


def _unreachable(path: Path, node: Any) -> Iterator[Found]:
    children = node.get("routes")
    taken: int | None = None
    for index, child in enumerate(children if isinstance(children, list) else []):
        if taken is not None:
            text = f"never reached: route {taken + 1} of this list has no matchers and no `continue`, so it takes all"
            yield Found((*path, "routes", index), text)
        elif isinstance(child, dict) and not child.get("matchers") and not child.get("continue"):
            taken = index


def _names(data: Any) -> Iterator[Found]:
    for section in (*GROUPS, "receivers", "episodes", "maintenance"):
        for name in entries(data, section):
            if not name.strip() or name != name.strip():
                yield Found((section, name), "a name is not empty and has no blanks around it")
            elif not is_line(name):
                yield Found((section, name), "a name has no tabs and other signs in it that nobody sees")
    for name in entries(data, "calendar", "time_intervals"):
        if not name.strip():
            yield Found(("calendar", "time_intervals", name), "a name is not empty and has no blanks around it")


def holds_secret(address: str) -> bool:
    """Whether a password or a key stands in an address."""
    return _SECRET_IN_ADDRESS.match(address) is not None


def _secrets_in_addresses(data: Any, path: Path) -> Iterator[Found]:
    if isinstance(data, str) and holds_secret(data):
        yield Found(
            path, "a secret stands in this address; secrets are written as env:NAME or file:/path, never as a value"
        )
    elif isinstance(data, dict):
        for key, value in data.items():
            yield from _secrets_in_addresses(value, (*path, key))
    elif isinstance(data, list):
        for index, item in enumerate(data):
            yield from _secrets_in_addresses(item, (*path, index))
