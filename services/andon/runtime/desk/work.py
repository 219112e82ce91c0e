"""What differs between desks: how a record becomes an item, how an item is called, and what its end tells the world."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from hashlib import blake2b
from typing import Protocol
from uuid import UUID

import msgspec

from andon.core.digest import Digest
from andon.core.event import TOLD_AGAIN, Event, Home
from andon.core.outcome import Outcome, RecipientState, Skipped
from andon.core.policy import QueuePolicy
from andon.core.work import Item, Known, Note, Reach
from andon.kafka.records import Record

_canonical = msgspec.json.Encoder(order="deterministic")


class Taken(msgspec.Struct, frozen=True):
    """What one record means to a desk: an item to do, records to publish, and the names of the memos it changed, which
    are stored as they stand once the record is taken in. All may be empty."""

    item: Item | None = None
    memos: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()

    @property
    def ids(self) -> tuple[UUID, ...]:
        """The id of its item, if it has one."""
        return (self.item.id,) if self.item else ()

    def take(self, known: Mapping[UUID, Known]) -> Taken:
        """It is what it means, whatever is known."""
        return self


class Advance(msgspec.Struct, frozen=True):
    """A record whose meaning depends on memos, and may change them: `take` advances them and says what it means. `ids`
    has that of every item it may become; `take` is told which of these are known by then, for an item that repeats one
    is not taken in, and no memo may say that it is under way."""

    ids: tuple[UUID, ...]
    take: Callable[[Mapping[UUID, Known]], Taken]


class Success(msgspec.Struct, frozen=True):
    """A call that did what it should. With `more` there are further parts to send; `parts`, if set, is then kept as the
    item's, for the calls that follow. With `same` it is the same part that goes on, to other recipients: those of this
    call who are to be told `later` certainly got nothing by it. `reference` is what the other side calls it. Memos and
    notes are stored with the result."""

    recipients: tuple[RecipientState, ...] = ()
    parts: bytes | None = None
    more: bool = False
    same: bool = False
    later: Collection[str] = ()
    reference: str = ""
    memos: Mapping[str, bytes] = {}
    notes: tuple[Note, ...] = ()


class Held(msgspec.Struct, frozen=True):
    """An item that is held back asks again at `until`, and leaves with nobody before."""

    until: float


class Together(msgspec.Struct, frozen=True):
    """The items that one more item's call tells as well, and what is kept as that item's `parts` for it."""

    joined: tuple[Item, ...]
    parts: bytes


class Told(msgspec.Struct, frozen=True):
    """What the end of an item changes and tells. Ids of the records are deterministic: they may be published twice.
    `kept` is what the store keeps as its end, where that is another than the outcome."""

    notes: tuple[Note, ...] = ()
    memos: Mapping[str, bytes] = {}
    kept: Outcome | None = None


class Work(Protocol):
    """One desk's own knowledge; no method but `call` has any effect outside of it."""

    def read(self, record: Record) -> Taken | Advance:
        """Raises Undecodable for a record that is not of this desk's kind; it goes to the DLQ.

        Called once for each record, in order, and changes nothing: until it is taken in, other writes are made, and
        none of them may hold what follows from it (law L1). A desk whose records change its memos returns an Advance,
        which is taken in together with what it means, once for each record and in order; it must never have an item
        refused by a full queue. The memos and notes of a repeat count as well; its item does not.
        """

    def memo(self, home: Home, name: str) -> bytes:
        """A memo as it stands now."""

    def policy(self, queue: str) -> QueuePolicy:
        """How this queue is served under the present configuration."""

    def looks_back(self) -> float:
        """How far any limit or merge rule of the present configuration looks back, in seconds."""

    def looks_back_on_people(self) -> float:
        """How far any limit per recipient or per person looks back, in seconds."""

    def reach(self, item: Item) -> Reach:
        """Whom the next call of an item is to reach; asked where its policy counts people. The call that follows may
        be for some of them only: the reach of its entry says for whom."""

    def turn(self, item: Item, behind: Sequence[Item], now: float) -> float | Held | Skipped:
        """What an item with a batch does whose turn it would be: when it leaves at the earliest, so that others may
        leave with it, that it is held back, or why it need not be told any more; the last never of one that carries
        others, which would end untold with it. `behind` are those that follow in its lane."""

    def speaks(self, item: Item, now: float) -> Mapping[str, bytes]:
        """The first call of an item with a batch begins; memos to store with its intent."""

    def gathers(self, item: Item, now: float) -> Mapping[str, bytes]:
        """Others become part of an item that carried none; memos to store with that. They end after it was asked, and
        all of their lanes in order."""

    def patience(self, item: Item) -> float:
        """How long it is tried, in seconds, before somebody else is told; asked of items that expire."""

    def stormed(self, item: Item) -> bool:
        """Whether an item that may be part of a storm had to wait for it; all that waits of the storm leaves with it
        then."""

    def equals(self, item: Item) -> Sequence[UUID]:
        """The ids of others that said the very same at their turn; asked where the policy has a time for that."""

    def together(self, item: Item, others: Sequence[Item], now: float) -> Together:
        """Those of the others whose people the call of the item may tell as well, and what it says then."""

    def keep(self, home: Home, memos: Mapping[str, bytes], now: float) -> None:
        """The memos of a home this process takes over now; they replace whatever it knew of it. What they say was done
        cannot have been done later: the clock may have been set back."""

    def digest(self, item: Item) -> Digest:
        """What the item says, as a digest of one."""

    def closed(self, item: Item, outcome: Outcome, recipients: Sequence[RecipientState], now: float) -> Told:
        """What follows from the end of an item."""

    async def call(self, item: Item, line: int, deadline: float) -> Success:
        """Makes the one call of this attempt by the account of this number. Raises Retryable or Rejected."""


def fingerprint(event: Event) -> bytes:
    """What makes two records of one id the same news: not what we added, nor a time the door may have minted, nor what
    its sender says otherwise each time. One door passes such a repetition over; through two of them both come here."""
    data = None if event.type in TOLD_AGAIN else event.data
    said = (event.type, event.source, event.subject, data)
    return blake2b(_canonical.encode(said), digest_size=16).digest()
