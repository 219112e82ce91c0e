"""Channels: a delivery becomes calls of a vendor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable
from uuid import UUID, uuid5

import msgspec

from andon.core.event import Event
from andon.core.outcome import Evidence, Parked
from andon.core.policy import Limit


class Content(msgspec.Struct, frozen=True):
    """A rendered text and its kind, as the channel names it ("text", "markdown")."""

    kind: str
    text: str


class Call(msgspec.Struct, frozen=True):
    """One call to a vendor: one part of one delivery. `line` is the place of its account in the pool, as the present
    configuration has it; `deadline` is in seconds.

    `part` counts from 0; `redrive` says how often the delivery was taken up again, `refused` how many attempts at this
    part certainly had no effect before the first of which that is not known, `perhaps` whether there is such a one.
    `named` says that the receiver names its recipients: one called as the receiver itself is somebody then.
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
    perhaps: bool = False
    named: bool = False

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

        Each part of a text that people read ends with `tail`, which counts as the rest does. Raises `Rejected` for
        another kind than the channel's.
        """

    async def send(self, call: Call, /) -> Sequence[Receipt]:
        """Makes one vendor call, to up to 1,000 recipients; a receipt for each. Raises `Retryable` or `Rejected`."""

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

    def lines(self) -> int:
        """How many equal accounts share the load, each with the limits for itself."""


@runtime_checkable
class NamesLines(Protocol):
    """The `Config` of a channel whose lines may change while work waits: by its name each is known again, wherever it
    stands. Without names a line is known by its place."""

    def line_names(self) -> tuple[str, ...]:
        """A name for each line, in their order; names no secret."""


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
class ForPrograms(Protocol):
    """The `Config` of a channel whose texts a program may read: nothing of ours is put before or after them, and what
    was merged goes to it only in a form that its own templates give it."""

    def for_programs(self) -> bool:
        """Whether a program reads them."""


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
