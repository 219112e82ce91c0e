"""From where, and how often: forged addresses, and rates per client and per address. Each scene has a door of its own.

The peer of every connection is 127.0.0.1, which is a proxy only where the door is told to trust it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from andon.config.plugs import SourcePlug
from andon.config.settings import Listen
from tests.component.ingress.corpus.case import EVENTS, Case, event, request, text

INSIDE, OUTSIDE = "10.1.2.3", "203.0.113.9"
RATE, PERIOD_S = 5, 10
STRANGERS = 20
_PLUG = SourcePlug.model_validate({"kind": "http", "allow": ["10.0.0.0/8"]})
_CLAIMS = (
    *(INSIDE, f"{INSIDE}:80", f"[::ffff:{INSIDE}]:1", f"{INSIDE}, {OUTSIDE}", f"{OUTSIDE}, {INSIDE}"),
    *("127.0.0.1", "localhost", "::1", "0.0.0.0", "10.0.0.0/8", "10.*.*.*", "unknown", "_hidden", "", ","),
    *("010.1.2.3", "0xa010203", f"{INSIDE}," * 100),
)
_NAMES = (
    *("x_forwarded_for", "X_FORWARDED_FOR", "forwarded", "x_real_ip", "x_client_ip", "true_client_ip"),
    *("cf_connecting_ip", "via"),
)
_BEHIND = (
    *(OUTSIDE, f"{INSIDE}, {OUTSIDE}", f"{INSIDE}, {OUTSIDE}, 127.0.0.1", f"{INSIDE},{INSIDE},{OUTSIDE}"),
    *("127.0.0.1", "garbage", f"{INSIDE}, garbage", f"{INSIDE}, ", f"{INSIDE} {INSIDE}", f'"{INSIDE}"'),
    *(f"{INSIDE};{INSIDE}", "10.1.2", "10.1.2.300", "::ffff:1"),
)


class Scene(NamedTuple):
    """A door's settings, and what is sent to it, in order."""

    name: str
    listen: Listen
    plugs: dict[str, SourcePlug]
    cases: tuple[Case, ...]


def scenes() -> Iterator[Scene]:
    unlimited = {"strangers": "none"}
    yield Scene("no proxy", Listen.model_validate(unlimited), {"mes": _PLUG}, tuple(_unproxied()))
    trusting = Listen.model_validate(unlimited | {"trusted_proxies": ["127.0.0.1"]})
    yield Scene("a proxy", trusting, {"mes": _PLUG}, tuple(_proxied()))
    limited = SourcePlug.model_validate({"kind": "http", "rate": f"{RATE}/{PERIOD_S}s"})
    yield Scene("a rate", Listen.model_validate(unlimited), {"mes": limited}, tuple(_fast()))
    strict = Listen.model_validate({"strangers": f"{STRANGERS}/{PERIOD_S}s", "trusted_proxies": ["127.0.0.1"]})
    yield Scene("strangers", strict, {}, tuple(_strangers()))


def _posted(number: str, *, token: str = "alpha", **headers: str) -> tuple[bytes, tuple[bytes, ...]]:
    body = text(event(id=number))
    return request(EVENTS, body, token=token, **headers), (body[:-1],)


def _unproxied() -> Iterator[Case]:
    for name in _NAMES:
        for claim in _CLAIMS:
            said = f"for={claim}" if name == "forwarded" else claim
            sent, _ = _posted("forged", **{name: said})
            yield Case("forged address", f"{name}: {said:.40}", sent, 403, "forbidden")
    sent, kept = _posted("elsewhere", token="beta", x_forwarded_for=OUTSIDE)
    yield Case("forged address", "of a client that may call from everywhere", sent, 202, kept=kept)


def _proxied() -> Iterator[Case]:
    for claim in _BEHIND:
        sent, _ = _posted("forged", x_forwarded_for=claim)
        yield Case("forged address", f"behind a proxy {claim}", sent, 403, "forbidden")
        sent, _ = _posted("forged", x_forwarded_for=claim, forwarded=f"for={INSIDE}")
        yield Case("forged address", f"behind a proxy, and another way {claim}", sent, 403, "forbidden")
    for claim in (INSIDE, f"{OUTSIDE}, {INSIDE}", f"garbage, {INSIDE}:80", f"{INSIDE}, 127.0.0.1"):
        sent, kept = _posted(f"inside {claim}", x_forwarded_for=claim)
        yield Case("address behind a proxy", claim, sent, 202, kept=kept)


def _fast() -> Iterator[Case]:
    for number in range(RATE):
        sent, kept = _posted(f"fast-{number}")
        yield Case("within the rate", str(number), sent, 202, kept=kept)
    for number in range(60):
        sent, _ = _posted(f"faster-{number}", x_forwarded_for=f"10.0.0.{number}", user_agent=f"u{number}")
        yield Case("over the rate of a client", str(number), sent, 429, "over_rate", after=PERIOD_S // RATE)
    sent, kept = _posted("another", token="beta")
    yield Case("within the rate", "another client", sent, 202, kept=kept)


def _strangers() -> Iterator[Case]:
    for number in range(STRANGERS):
        sent, _ = _posted("guess", token=f"guess-{number}", x_forwarded_for=OUTSIDE)
        yield Case("within the rate", f"a guess {number}", sent, 401, "unauthorised", "Authorization")
    for number in range(60):
        sent, _ = _posted("guess", token=f"more-{number}", x_forwarded_for=f"10.9.9.{number}, {OUTSIDE}")
        yield Case("over the rate of an address", str(number), sent, 429, "over_rate", after=1)
    nowhere = request("/callbacks/nobody", x_forwarded_for=OUTSIDE)
    yield Case("over the rate of an address", "at another path", nowhere, 429, "over_rate", after=1)
    sent, _ = _posted("guess", token="guess", x_forwarded_for="198.51.100.7")
    yield Case("within the rate", "a guess from elsewhere", sent, 401, "unauthorised", "Authorization")
    sent, kept = _posted("known", x_forwarded_for=OUTSIDE)
    yield Case("within the rate", "a client at the same address", sent, 202, kept=kept)
