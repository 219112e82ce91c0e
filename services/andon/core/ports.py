"""What plug-ins and engines promise each other.

Sources, connectors, channels and ticket systems are classes with a nested pydantic `Config`, registered by one
entry-point line. They raise `Retryable` or `Rejected` (core.failure) and nothing else on purpose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from socket import socket
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable
from uuid import UUID, uuid5

import msgspec

from andon.core.event import Event
from andon.core.failure import Invalid
from andon.core.outcome import Evidence, Parked, Skipped
from andon.core.policy import Limit

In = TypeVar("In", contravariant=True)
Out = TypeVar("Out")


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


class Result(msgspec.Struct, Generic[Out], frozen=True):
    """What a stage made of one input: outputs, or the reason why there are none. Never both empty."""

    outputs: tuple[Out, ...] = ()
    ended: Skipped | Parked | None = None


class Stage(Protocol[In, Out]):
    """A step from topic to topic. Takes a batch and returns exactly one result per input, in order."""

    async def __call__(self, batch: Sequence[In], /) -> Sequence[Result[Out]]: ...


class Inbound(msgspec.Struct, frozen=True):
    """Something that arrived at the door, already authenticated: the client's name, the headers, the raw body, and the
    parameters of the address.

    Of a callback nobody has authenticated anything yet: its source does.
    """

    client: str
    headers: Mapping[str, str]
    body: bytes
    query: Mapping[str, str] = {}


class Source(Protocol):
    """Turns what arrived into events. Pure; verification is separate. Raises `Rejected(INVALID | MALFORMED)`.

    Its `Config` says `own_name = True` when every event has the source's own name as its `source`: without that it
    cannot run beside another path (`parallel`).
    """

    def parse(self, inbound: Inbound, /) -> Sequence[Event]: ...


class Answer(msgspec.Struct, frozen=True):
    """The body of an answer with status 200, and its media type."""

    body: bytes = b""
    media: str = "text/plain"


class Called(msgspec.Struct, frozen=True):
    """What a vendor called with: its events, none where it only asked, and what it is answered once the log has
    them. `signature` is its own, where it was made for this one call: under it no other content is taken any more.
    `left_out` counts the events that a map left out."""

    events: Sequence[Event] = ()
    answer: Answer = Answer()
    signature: str = ""
    left_out: int = 0


@runtime_checkable
class TakesMap(Protocol):
    """A class of sources that make events by a `map`. `own_ids`: the other side names what it sends, so that a map says
    no `id`."""

    own_ids: bool


@runtime_checkable
class KeepsConnection(Protocol):
    """The `Config` of a source that keeps a connection: `expect.connected` may be asked of it."""

    def connection(self) -> str:
        """What it is connected to, as people read it; names no secret."""


@runtime_checkable
class CallbackSource(Source, Protocol):
    """A source that a vendor calls at `/callbacks/<its name>`.

    `greet` and `called` verify first and raise `Rejected(UNAUTHORISED)` for what was not sealed for us; the ids of the
    events are the same however often the vendor sends them. `parse` gives the events of `called`.
    """

    def greet(self, inbound: Inbound, /) -> Answer:
        """The answer to a GET, by which the vendor sees that the address is ours."""

    def called(self, inbound: Inbound, /) -> Called:
        """What a POST is about. Made before anything is in the log, so that nothing can fail behind it."""


class Facts(msgspec.Struct, frozen=True):
    """What a connector knows of one event. `found` False means that it was asked and has no such entry."""

    values: Mapping[str, Any]
    found: bool = True


class Connector(Protocol):
    """Looks up facts in another system: one answer per event, in order. Raises `Retryable` or `Rejected`."""

    async def lookup(self, keys: Sequence[str], /) -> Sequence[Facts]: ...

    async def close(self) -> None: ...


@runtime_checkable
class ReadsWhole(Protocol):
    """The `Config` of a connector whose whole table can be read, to be published with the configuration."""

    def rows(self, folder: Path, /) -> Iterator[Mapping[str, Any]]:
        """Every row; blocking. Relative file names start from `folder`. Raises ValueError, Retryable or Rejected, with
        a text that shows no secret."""

    def files(self, folder: Path, /) -> Sequence[Path]:
        """The files whose change changes the rows."""


class Content(msgspec.Struct, frozen=True):
    """A rendered text and its kind, as the channel names it ("text", "markdown")."""

    kind: str
    text: str


class Call(msgspec.Struct, frozen=True):
    """One call to a vendor: one part of one delivery. `line` picks the account of a pool, `deadline` is in seconds.

    `part` counts from 0; `redrive` says how often the delivery was taken up again, `refused` how many attempts at this
    part certainly had no effect before the first of which that is not known.
    """

    delivery: UUID
    receiver: str
    recipients: tuple[str, ...]
    content: Content
    line: int = 0
    deadline: float = 15.0
    part: int = 0
    redrive: int = 0
    refused: int = 0

    @property
    def key(self) -> UUID:
        """Names what is sent: the same for every attempt at this part, another after a redrive, for then a person
        wants it sent again. That of a first part is the delivery's own id."""
        again = self.redrive or self.part
        return uuid5(self.delivery, f"{self.redrive}/{self.part}") if again else self.delivery

    @property
    def fresh_key(self) -> UUID:
        """As `key` as long as an earlier attempt may have had its effect, another after each refusal: for a vendor that
        might know a key also from what it refused, and take what was never shown for a repeat."""
        return uuid5(self.key, str(self.refused)) if self.refused else self.key


class Receipt(msgspec.Struct, frozen=True):
    """What the vendor's reply proves for one recipient.

    `later`: this one alone got nothing and is to be tried again, for the reason in `failed`; the others have it.
    `reference` is the vendor's own name for what it accepted, by which it can be found or recalled.
    """

    recipient: str
    evidence: Evidence = Evidence.VENDOR_ACCEPTED
    failed: Parked | None = None
    later: bool = False
    reference: str = ""


class Channel(Protocol):
    """An account at a vendor. The reply body decides what `send` returns (law L5)."""

    def split(self, content: Content, tail: str = "", /) -> Sequence[Content]:
        """The content in parts the vendor takes whole; joined they equal it byte for byte. Pure.

        Each part of a text that people read ends with `tail`, which counts as the rest does.
        """

    async def send(self, call: Call, /) -> Sequence[Receipt]:
        """Makes one vendor call; a receipt per recipient. Raises `Retryable` or `Rejected`."""

    async def close(self) -> None: ...


@runtime_checkable
class Recalls(Protocol):
    """A channel that can take back what people have been sent."""

    async def recall(self, reference: str, sent: float, /, *, deadline: float = 15.0) -> None:
        """Takes back what the vendor accepted at `sent` under this `Receipt.reference`.

        Raises `Retryable`, or `Rejected` for what cannot be taken back; GONE when it is too old.
        """


@runtime_checkable
class KeyedChannel(Protocol):
    """A channel whose other side knows a repeat: what is unknown is sent again as it was, and shown once.

    It says so by having `repeat_key`, and tells the other side that key in every call.
    """

    def repeat_key(self, call: Call, /) -> str:
        """By what the other side knows this call again: the same for what may have arrived before. Pure."""


@runtime_checkable
class EventChannel(KeyedChannel, Protocol):
    """A channel to programs: it takes the event itself instead of a text, never several as one."""

    def content(self, event: Event, /) -> Content:
        """What `send` is given for this event. Pure. Raises `Rejected`."""


class ChannelConfig(Protocol):
    """What the nested `Config` of every channel tells the desk."""

    def limit_domain(self) -> str:
        """The widest account whose vendor limit is exclusive; names no secret."""

    def limits(self) -> tuple[Limit, ...]: ...

    def lines(self) -> int: ...


@runtime_checkable
class CountsRecipients(Protocol):
    """The `Config` of a channel whose vendor limits what one recipient gets. Its limits say `per` what they count."""

    def sender(self) -> str:
        """Who sends, among all that share the limit domain; names no secret."""


@runtime_checkable
class Coalesces(Protocol):
    """The `Config` of a channel whose one call tells up to a thousand, whichever delivery they are of. Equal notices
    wait for each other for `coalesce` seconds; 0: not at all."""

    coalesce: float


@runtime_checkable
class CountsPeople(CountsRecipients, Protocol):
    """The same where the recipients are people."""

    def behind(self, name: str, /) -> int | None:
        """How many people a name may stand for; None for the name of one person."""


@runtime_checkable
class NamesPeople(Protocol):
    """The `Config` of a channel whose receivers say in `to` whom they mean."""

    def recipient_mistakes(self, to: Sequence[str], /) -> Sequence[tuple[int | None, str]]:
        """What is wrong with a `to`: the number of the entry, or None for the whole, and a sentence. Entries that name
        a fact are left out of it."""


@runtime_checkable
class HasWays(Protocol):
    """The `Config` of a channel that reaches some recipients in another way than others, with limits of its own.

    A receiver goes one way, which its `to` tells.
    """

    def toward(self, to: Sequence[str], /) -> ChannelConfig:
        """What holds of the way to these."""

    def unfit(self, to: Sequence[str], kind: str, /) -> str:
        """Why content of this kind cannot go that way; empty if it can."""


class Ticket(msgspec.Struct, frozen=True):
    """A ticket as its system shows it. `state` is the system's own word."""

    id: str
    state: str
    link: str = ""
    closed: bool = False


class TicketSystem(Protocol):
    """A tracker that opens and closes tickets. Every call may be repeated after an unknown result."""

    async def find(self, key: str, /) -> Ticket | None:
        """The ticket opened for this episode key, if there is one."""

    async def open(self, key: str, title: str, text: str, severity: str, /) -> Ticket:
        """Creates the ticket for this key; a repeated create never makes a second one."""

    async def comment(self, ticket: str, text: str, /) -> None: ...

    async def move(self, ticket: str, state: str, text: str, /) -> Ticket:
        """Sets the state ("closed" or one of the system's own) with a comment."""

    async def reopen(self, ticket: str, text: str, /) -> Ticket: ...

    async def changes(self, since: float, /) -> Sequence[Ticket]:
        """Tickets that changed since then, for reconciling."""

    async def close(self) -> None: ...
