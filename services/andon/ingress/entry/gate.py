"""Who may come in. The door asks in this order, and whoever fails is asked nothing further (docs/door.md):

1. his address, by `listen.allow`: `Gate.connects` before TLS (accepting), and of each request, which may come from
   behind a proxy, `Gate.enter`;
2. TLS 1.3, and that a certificate he shows is one of `listen.client_ca`: app.tls_of, as the connection is made;
3. the size he declares: `Gate.enter`. What he sends is counted as it comes: api;
4. who he is. A token says whose client he is (clients); where a vendor calls, the name in the address does. Then the
   address and the certificate this source asks for, by its `allow` and `client_cert`: `Gate.known`;
5. of a callback the signature, over the raw bytes, and then its time: the source (callback);
6. his rate: `Gate.spend`;
7. whether there is room (admission), what it is (the source), and whether it was here before (requests).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container, Mapping
from typing import Any, NamedTuple

from aiohttp import web

from andon.config.plugs import SourcePlug
from andon.config.settings import Listen
from andon.core.ports import Clock
from andon.core.reason import Reason
from andon.ingress.entry.caller import Networks, address_of, caller, group_of
from andon.ingress.entry.gcra import Meter, Meters
from andon.ingress.refusal import Refused

Answer = Callable[[web.Request], Awaitable[web.Response]]
"""What answers a request. Raises Refused."""

NO_CERTIFICATE = "none"
_CALLER = web.RequestKey[str | None]("caller")
_CLIENT = web.RequestKey("client", str)
# These say nothing against who calls.
_NOT_HIS_FAULT = frozenset({Reason.UNAVAILABLE, Reason.OVER_CAPACITY, Reason.OVER_RATE, Reason.FORBIDDEN})


class _Asked(NamedTuple):
    """What one source asks of its client: to call from here, to show a certificate, to be named in it."""

    allow: Networks
    certificate: bool
    named: str | None


class Gate:
    """The checks that look at nothing but who calls, from where, and how often; what they look at is in the headers and
    in the connection.

    A change of the configuration forgets nothing of what clients have spent. Whether a certificate is wanted at all is
    as `listen` says at the start, for TLS asks for none before the next one. Belongs to one event loop, and counts for
    one process.
    """

    def __init__(self, clock: Clock, body: int, listen: Listen) -> None:
        self._clock = clock
        self._body = body
        self._certificates = listen.client_ca is not None
        self._rates: dict[str, Meter] = {}
        self._strangers: Meters | None = None
        self.take(listen, {}, ())

    def take(self, listen: Listen, sources: Mapping[str, SourcePlug], vendors: Container[str]) -> None:
        """These hold from now on; `vendors` are the sources that vendors call."""
        self._allow = Networks(listen.allow)
        self._trusted = Networks(listen.trusted_proxies)
        asked = {name: self._of(plug, name in vendors) for name, plug in sources.items()}
        self._asked = {name: one for name, one in asked.items() if one.allow or one.certificate}
        old, self._rates = self._rates, {}
        for name, plug in sources.items():
            if plug.rate is not None:
                meter = old.get(name)
                self._rates[name] = meter if meter is not None and meter.limit == plug.rate else Meter(plug.rate)
        if listen.strangers == "none":
            self._strangers = None
        elif self._strangers is None or self._strangers.limit != listen.strangers:
            self._strangers = Meters(listen.strangers)

    def _of(self, plug: SourcePlug, vendor: bool) -> _Asked:
        named = None if plug.client_cert == NO_CERTIFICATE else plug.client_cert
        wanted = named is not None or (not vendor and plug.client_cert is None)
        return _Asked(Networks(plug.allow), self._certificates and wanted, named)

    def connects(self, peer: str | None) -> bool:
        """Whether this peer is somebody who may call, or a proxy that calls for others."""
        return not self._allow or peer in self._allow or peer in self._trusted

    def enter(self, request: web.Request) -> None:
        """Raises Refused for an address that may not call at all, and for a body that is too large by its own word."""
        if self._allow and (address := self.caller(request)) not in self._allow:
            raise Refused(Reason.FORBIDDEN, f"{_said(address)} may not call this door")
        if (request.content_length or 0) > self._body:
            raise too_large(self._body)

    def known(self, request: web.Request, name: str) -> None:
        """Raises Refused for a client of this source that calls from elsewhere, or without the certificate."""
        if (asked := self._asked.get(name)) is None:
            return
        if asked.allow and (address := self.caller(request)) not in asked.allow:
            raise Refused(Reason.FORBIDDEN, f"{_said(address)} may not call the source {name}")
        if asked.certificate:
            certificate = request.get_extra_info("peercert")
            if not certificate:
                raise Refused(Reason.FORBIDDEN, f"the source {name} asks for a client certificate")
            if asked.named is not None and asked.named.lower() not in _names(certificate):
                raise Refused(Reason.FORBIDDEN, f"the certificate is not the one of the client of {name}")

    def authenticated(self, request: web.Request, name: str) -> None:
        """From here on it is known whose request this is."""
        request[_CLIENT] = name

    def spend(self, name: str, events: int) -> None:
        """Counts events of a source. Raises Refused, with the time to wait, when they are too many."""
        if (meter := self._rates.get(name)) is not None and (after := meter.spend(self._clock.now(), events)):
            limit = meter.limit
            detail = f"the source {name} may send {limit.count:,} events in {limit.period:g} s"
            raise Refused(Reason.OVER_RATE, detail, after=after)

    def stranger(self, request: web.Request) -> Refused | None:
        """Counts a request of nobody we know, and says No when its address has had too many of them."""
        if self._strangers is None:
            return None
        after = self._strangers.spend(group_of(self.caller(request)), self._clock.now())
        return Refused(Reason.OVER_RATE, "your address asks too often", after=after) if after else None

    def judged(self, request: web.Request, refusal: Refused) -> Refused:
        """How a refusal is said: a stranger who has had many is told to wait. Nobody who is known pays for others."""
        if _CLIENT in request or refusal.reason in _NOT_HIS_FAULT:
            return refusal
        return self.stranger(request) or refusal

    def caller(self, request: web.Request) -> str | None:
        """The address the request comes from, behind proxies that are trusted; None if nobody can say."""
        if not self._trusted:
            return address_of(request.remote or "")
        if _CALLER not in request:
            lines = request.headers.getall
            told, standard = lines("X-Forwarded-For", ()), lines("Forwarded", ())
            request[_CALLER] = caller(request.remote, told, standard, self._trusted)
        return request[_CALLER]

    def who(self, request: web.Request) -> tuple[str, str | None]:
        """Who calls, as far as it is known: the client's name, else the address; and the client."""
        client = request.get(_CLIENT)
        return client or group_of(self.caller(request)), client


def too_large(most: int) -> Refused:
    """The answer to a request of more than `most` bytes."""
    return Refused(Reason.TOO_LARGE, f"a request has at most {most:,} bytes")


def _said(address: str | None) -> str:
    return address or "an address that no proxy tells"


def _names(certificate: Mapping[str, Any]) -> set[str]:
    """Common names and alternative names, in lower case, of a certificate as the ssl module shows one."""
    subject = (pair for parts in certificate.get("subject", ()) for pair in parts)
    common = {value.lower() for key, value in subject if key == "commonName"}
    # An alternative name that is a directory's (DirName) is no text but a tree of pairs.
    alternative = {value.lower() for _, value in certificate.get("subjectAltName", ()) if isinstance(value, str)}
    return common | alternative
