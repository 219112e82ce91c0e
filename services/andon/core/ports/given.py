"""What every plug-in is given: time, the way out, the cluster, a map of its own, and where tokens are shared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from socket import socket
from typing import Any, Protocol

import msgspec

from andon.core.event import Event
from andon.core.failure import Invalid


class Clock(Protocol):
    """Time, injected everywhere something waits."""

    def now(self) -> float:
        """Seconds since 1970."""

    async def sleep(self, seconds: float) -> None:
        """Returns after `seconds` of this clock."""


class Reply(msgspec.Struct, frozen=True):
    """An HTTP answer: status, body (capped) and headers with lower-case names."""

    status: int
    body: bytes
    headers: Mapping[str, str]


class Proxy(msgspec.Struct, frozen=True):
    """An HTTP proxy. `account` gives user and password each time they are needed; None: it asks for none."""

    host: str
    port: int
    account: Callable[[], tuple[str, str]] | None = None


class Way(msgspec.Struct, frozen=True):
    """How connections leave, and where they may go.

    `allow` None is for an address that the operator wrote down himself, such as a vendor's `base_url`: public
    addresses, this machine and private networks. Otherwise only public addresses are connected to, and what `allow`
    names: networks (`10.1.0.0/16`), or host names, which count as written down. `ca` replaces the system's
    authorities; `cert` and `key` are the client's own. All three are PEM files, read again when they change.
    """

    proxy: Proxy | None = None
    allow: tuple[str, ...] | None = None
    ca: str | None = None
    cert: str | None = None
    key: str | None = None


class Wire(Protocol):
    """The one way out. The address connected to is the address checked (`Way.allow`); follows no redirect, trusts no
    proxy environment, never logs an address query."""

    @property
    def way(self) -> Way: ...

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
        """One HTTP request with one total deadline in seconds.

        Raises Retryable(NOT_SENT) when no byte of the request left, and Retryable(TIMEOUT | CONNECTION,
        ambiguous=True) when a part of it may have been read. Raises Rejected for an address that is none, or that the
        way does not allow.
        """

    async def connect(self, host: str, port: int, /, *, deadline: float = 15.0) -> socket:
        """A connected, non-blocking TCP socket for another protocol; who asked closes it. Raises as `request` does
        before the first byte."""

    def apart(self, way: Way, /) -> Wire:
        """A wire of one's own with connections of its own; who asked closes it."""

    async def close(self) -> None: ...


class Link(Protocol):
    """How to reach a Kafka cluster."""

    def client(self) -> dict[str, Any]:
        """The settings of a client of it; secrets are among them."""


class Vault(Protocol):
    """Where the processes of a service share what a vendor gave them for a secret: access tokens.

    A value is sealed with a key derived from that secret, so who has the store alone learns nothing, and with another
    secret nothing is found. Every method raises StoreFailure.
    """

    async def find(self, name: str, secret: str, /) -> bytes | None:
        """The value kept under this name and this secret."""

    async def keep(self, name: str, secret: str, value: bytes, /) -> None:
        """Replaces the value; whoever held the name holds it no more."""

    async def claim(self, name: str, holder: str, now: float, until: float, /) -> bool:
        """Whether the name is the holder's until then. Of all who ask at one time, one is told so."""

    async def release(self, name: str, holder: str, /) -> None:
        """Ends a claim before its time."""


class EventMap(Protocol):
    """Makes events of what another system sends, as its source's `map` says. Pure."""

    def read(self, body: bytes, content_type: str = "", /) -> Any:
        """The document in a body. Raises Invalid."""

    def events(self, document: Any, source: str, now: float, trace: str, /) -> Sequence[Mapped | Invalid | None]:
        """An answer for each event of a document, in order: the event, what is wrong with it, or None for one that the
        map leaves out. Raises Invalid for a document that holds no events at all."""


class Mapped(msgspec.Struct, frozen=True):
    """An event that a map made. `digest` is 16 bytes over what it was made of: equal for equal content."""

    event: Event
    digest: bytes


class Context(msgspec.Struct, frozen=True):
    """What every plug-in is given beside its `Config`: plug-ins are built as `cls(config, context)`.

    `name` is the name it has in andon.yaml, `directory` the folder relative file names start from. `kafka` is Andon's
    own cluster, for a plug-in that uses it. Without a `vault` nothing is shared with other processes.
    `channels` are the own keys of every channel, by its name, for a source that goes with one; `map` is what a source
    that takes what others have written makes events by.
    """

    name: str
    directory: Path
    clock: Clock
    wire: Wire
    kafka: Link | None = None
    vault: Vault | None = None
    channels: Mapping[str, Mapping[str, Any]] = {}
    map: EventMap | None = None
