"""An OIDC provider as the door knows it: the keys it publishes, kept current.

Sources: OpenID Connect Discovery 1.0 (sections 3 and 4), RFC 7517 (5), RFC 8414 (3.3), RFC 9111 (5.2.2.1).
"""

from __future__ import annotations

import asyncio
import logging
import re
from math import inf

import msgspec

from andon.config.access import Issuer, is_safe
from andon.core.failure import Failure
from andon.core.ports import Clock, Wire
from andon.ingress.tokens.keys import Key, published_keys
from andon.ingress.tokens.rules import Rules

log = logging.getLogger(__name__)

DISCOVERY = "/.well-known/openid-configuration"
APART_S = 10.0
AGAIN_S = 15.0
LEAST_LIFE_S = 60.0
_DEADLINE_S = 5.0
_MAX_AGE = re.compile(r"(?:^|[,\s])max-age=(\d{1,9})", re.IGNORECASE)
_TYPES = frozenset({"", "jwt", "at+jwt"})


class KeysUnknown(Exception):  # noqa: N818 - a state of the provider, read by people
    """Nobody knows whether a token is good, because its issuer does not answer; to be asked again in `after` s."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the issuer {name} cannot be asked now for the key that a token is signed with")
        self.after = APART_S


class _Document(msgspec.Struct, frozen=True):
    issuer: str
    jwks_uri: str


_read_document = msgspec.json.Decoder(_Document).decode


class Provider:
    """The keys of one issuer.

    Read when it begins and again when they have lived as long as the provider says (`max-age`), at least every
    `refresh`; for an unknown key at once, but never twice within 10 s, and once for all who wait. While the provider
    does not answer, or says that it is somebody else, the last keys count for `stale`. Belongs to one event loop.
    """

    def __init__(self, name: str, issuer: Issuer, wire: Wire, clock: Clock) -> None:
        self.name = name
        self.iss = issuer.issuer
        self.settings = issuer
        self.keys: tuple[Key, ...] = ()
        self.version = 0
        self.rules = Rules(
            audience=issuer.audience,
            algorithms=frozenset(issuer.algorithms),
            types=frozenset({issuer.typ}) if issuer.typ else _TYPES,
            client=(issuer.claim,) if issuer.claim else ("client_id", "azp"),
            begins="iat",
            max_age=issuer.max_age,
            early=issuer.leeway,
            late=issuer.leeway,
        )
        self._wire = wire
        self._clock = clock
        self._tried = -inf
        self._good = -inf  # when the keys were read last
        self._life = 0.0
        self._failed = False
        self._reading: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to keep the keys current."""
        self._watching = asyncio.get_running_loop().create_task(self._watch())

    async def close(self) -> None:
        """Ends that, and closes its connections; who waits for an answer still gets it."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        if self._reading is not None:
            await asyncio.wait([self._reading])
        await self._wire.close()

    def refresh(self, now: float) -> None:
        """Drops keys that nobody has confirmed for too long."""
        if self.keys and now - self._good > self._life + self.settings.stale:
            log.error("the keys of the issuer %s count no more: it has not answered for too long", self.name)
            self._take(())

    async def renew(self) -> None:
        """Called for a key that is not known: reads the keys again, or waits for whoever reads them, unless they were
        read just now. Raises KeysUnknown when the provider does not answer."""
        await self._look()
        if self._failed:
            raise KeysUnknown(self.name)

    async def _look(self) -> None:
        """Reads the keys, once for all who ask, and not so soon after the last time."""
        if self._reading is None:
            now = self._clock.now()
            if 0 <= now - self._tried < APART_S:
                return
            self._tried = now
            self._reading = asyncio.get_running_loop().create_task(self._read())
            self._reading.add_done_callback(self._done)
        await asyncio.shield(self._reading)

    def _done(self, _task: asyncio.Task[None]) -> None:
        self._reading = None

    async def _watch(self) -> None:
        while True:
            await self._look()
            self.refresh(self._clock.now())
            await self._clock.sleep(AGAIN_S if self._failed else self._life)

    async def _read(self) -> None:
        try:
            document = await self._document()
            body, life = await self._asked(document.jwks_uri)
            keys = published_keys(body, self.settings.algorithms)
        except (Failure, ValueError) as error:
            self._failed = True
            log.warning("the keys of the issuer %s could not be read: %s", self.name, error)
            return
        self._failed, self._good, self._life = False, self._clock.now(), life
        if not keys:
            log.error("the issuer %s publishes no key for any of %s", self.name, ", ".join(self.settings.algorithms))
        self._take(keys)

    def _take(self, keys: tuple[Key, ...]) -> None:
        if {(key.kid, key.mark) for key in keys} != {(key.kid, key.mark) for key in self.keys}:
            self.version += 1
        self.keys = keys

    async def _document(self) -> _Document:
        """The discovery document. Raises Failure, and ValueError when it is none or another issuer's."""
        body, _ = await self._asked(self.iss.removesuffix("/") + DISCOVERY)
        try:
            document = _read_document(body)
        except (msgspec.DecodeError, RecursionError):
            raise ValueError("its discovery document is none") from None
        if document.issuer != self.iss:
            raise ValueError("its discovery document is that of another issuer; write `issuer` exactly as it does")
        if not is_safe(document.jwks_uri):
            raise ValueError("its discovery document sends us to plain HTTP for the keys")
        return document

    async def _asked(self, url: str) -> tuple[bytes, float]:
        """What is there, and for how long it holds. Raises Failure, ValueError."""
        reply = await self._wire.request("GET", url, deadline=_DEADLINE_S)
        if reply.status != 200:
            raise ValueError(f"it answers {reply.status}")
        said = _MAX_AGE.search(reply.headers.get("cache-control", ""))
        life = min(float(said[1]), self.settings.refresh) if said else self.settings.refresh
        return reply.body, max(life, min(LEAST_LIFE_S, self.settings.refresh))
