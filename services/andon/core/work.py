"""What a desk keeps open: items, the ledger of their attempts, and the store both live in.

A desk takes in records and makes calls to the outside for them. An *item* is one piece of such work: a delivery of
the egress desk, a ticket command of the ticketing desk. An *entry* of the ledger is one attempt at an item, written
as an intent before the call and completed by its result. All times are seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from hashlib import blake2b
from math import inf
from typing import Protocol
from uuid import UUID

import msgspec

from andon.core.digest import Digest
from andon.core.event import Home
from andon.core.reason import Reason

AUDIENCE = "\x1f"
APART = "\x1e"
STORM = "\x1d"


class Reach(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whom one call is to reach. Names of `wide` (a department, everybody) may stand for anyone, and are so many people
    at most; all others are one person each. `sender` is what the vendor's limits per person belong to."""

    sender: str
    recipients: tuple[str, ...]
    wide: dict[str, int] = {}

    def people(self) -> int:
        """How many people it may reach."""
        return sum(self.wide.get(name, 1) for name in self.recipients) if self.wide else len(self.recipients)

    def without(self, names: Collection[str]) -> Reach:
        """The same but for these."""
        return self.only(tuple(one for one in self.recipients if one not in names)) if names else self

    def only(self, recipients: tuple[str, ...]) -> Reach:
        """The same for some of its recipients."""
        if len(recipients) == len(self.recipients):
            return self
        return Reach(self.sender, recipients, {name: self.wide[name] for name in recipients if name in self.wide})


class Entry(msgspec.Struct, frozen=True):
    """One attempt: an intent, and its result once `ended` is set; `key` tells it from all others.

    `line` is the number of the account it was made by. `queue` is the item's; a store need not keep it twice, and gives
    "" for an attempt of an earlier hop, when the item was another queue's. `until` is set when the other side
    asked to be left alone: no call by this account begins before. `reach` says who is told, where that is counted, and
    who may have been once it has ended; `reference` how the vendor calls what it accepted.
    """

    item: UUID
    redrive: int
    hop: int
    number: int
    home: Home
    domain: str
    line: int
    part: int
    epoch: int
    started: float
    queue: str
    marked: bool = False
    ended: float | None = None
    reason: Reason = Reason.INTERRUPTED
    ambiguous: bool = False
    until: float = 0.0
    reach: Reach | None = None
    reference: str = ""

    @property
    def key(self) -> tuple[UUID, int, int, int]:
        return (self.item, self.redrive, self.hop, self.number)

    @property
    def taken_back(self) -> bool:
        """Whether no call was made of it, because the account asked meanwhile to be left alone, or left its pool."""
        return self.reason is Reason.NOT_SENT and self.until > 0


class Item(msgspec.Struct):
    """One piece of open work. `lane` is the subject: items of one lane and queue keep their order.

    `offset` is where its record stands and gives the order, unless a repartition has given it another home: then
    `moved` says where that is (partition, offset), and `offset` is below 0, before all that came since.
    `content` is a hash that tells a repeat from a conflict. `body` is the record's value; of what waits in a group the
    desk may keep it packed in memory (`runtime.desk.packing`).
    `group` is the merge key, None for an item that may never be merged; `carried` says what was merged into it. A key
    `AUDIENCE + audience + AUDIENCE + group` is that of an item whose recipients are not simply its queue's.
    A lane `APART + …` is that of items which are held, to be told as one: they join the first of it as they come, and
    hold back nothing else of their subject.
    `batch` is the key of a group that keeps a pace: what waits of it leaves together. An item whose batch is "" is in
    no group and asks at its turn all the same; one without a batch never does. A batch `STORM + storm + STORM + group`
    says what storm the item may be part of besides.
    `expires` is when it is given up at the latest, for somebody else to be told; it is put off while the item waits by
    rules of its own.
    `born` is when the event was accepted. `parts` is what the desk wants back once the first of several parts was
    sent. `entries` are the attempts since it was last redriven, oldest first; a store keeps them apart from the item.
    """

    id: UUID
    home: Home
    offset: int
    queue: str
    domain: str
    lane: str
    content: bytes
    born: float
    body: bytes
    urgent: bool = False
    group: str | None = None
    due: float = 0.0
    redrive: int = 0
    hop: int = 0
    part: int = 0
    parts: bytes | None = None
    carried: Digest | None = None
    marked: bool = False
    entries: list[Entry] = []
    moved: tuple[int, int] | None = None
    batch: str | None = None
    expires: float = inf

    @property
    def record(self) -> tuple[int, int]:
        """Partition and offset of its record."""
        return self.moved or (self.home.partition, self.offset)

    @property
    def apart(self) -> bool:
        """Whether it stands in a lane of what is held."""
        return self.lane.startswith(APART)

    @property
    def audience(self) -> str:
        """Who hears of it: only items of one audience may become one."""
        group = self.group or ""
        return group[1:].partition(AUDIENCE)[0] if group.startswith(AUDIENCE) else ""

    @property
    def storm(self) -> str:
        """The storm it may be part of; "" for none."""
        batch = self.batch
        return batch[1:].partition(STORM)[0] if batch and batch[0] == STORM else ""

    @property
    def flock(self) -> str:
        """The group it is in; "" for none."""
        batch = self.batch or ""
        return batch[1:].partition(STORM)[2] if batch and batch[0] == STORM else batch


class Closed(msgspec.Struct, frozen=True):
    """The end of an item: its outcome's JSON, kept for lookups until it is pruned."""

    id: UUID
    outcome: bytes
    at: float


class Note(msgspec.Struct, frozen=True):
    """A record a desk wants published; it waits in the outbox until the broker has it."""

    topic: str
    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


_LONGEST = 640
_DIGEST = 16


def memo_name(text: str) -> str:
    """The name of the memo about `text`: the text, or of a long one its beginning and a digest of the whole.

    PostgreSQL refuses a key above 2,704 bytes, and what takes one byte may be kept there in four (a NUL).
    """
    raw = text.encode()
    if len(raw) <= _LONGEST:
        return text
    return raw[: _LONGEST - 2 * _DIGEST].decode(errors="ignore") + blake2b(raw, digest_size=_DIGEST).hexdigest()


class Write(msgspec.Struct):
    """Everything one decision changes for one home: applied whole, or refused whole when the lease has moved.

    `taken` and `changed` are copies made when it was decided, for the items go on changing while it waits. `published`
    is the number of the last note the broker has: it is forgotten with all before it. A memo of no bytes is forgotten;
    its name is one that `memo_name` gave.
    """

    home: Home
    epoch: int
    offset: int | None = None
    taken: list[Item] = []
    began: list[Entry] = []
    ended: list[Entry] = []
    changed: list[Item] = []
    closed: list[Closed] = []
    memos: dict[str, bytes] = {}
    notes: list[tuple[int, Note]] = []
    published: int | None = None

    def rows(self) -> int:
        """How many rows it touches."""
        items = len(self.taken) + len(self.changed) + len(self.closed)
        entries = len(self.began) + len(self.ended)
        return items + entries + len(self.notes) + len(self.memos)


class Holding(msgspec.Struct):
    """What a new owner finds: its epoch, where to read on (None when nothing was taken in yet), and what is open."""

    home: Home
    epoch: int
    offset: int | None
    items: list[Item]
    recent: list[Entry]
    memos: dict[str, bytes]
    notes: list[tuple[int, Note]]


class Known(msgspec.Struct, frozen=True):
    """An item the store has already: its content digest, how often it was redriven and handed on, and whether it is
    closed."""

    content: bytes
    redrive: int
    closed: bool
    hop: int = 0

    def repeated_by(self, content: bytes, redrive: int, hop: int = 0) -> bool:
        """Whether this is a mere repeat of it: no other content, and not redriven or handed on after its end."""
        again = self.closed and (redrive, hop) > (self.redrive, self.hop)
        return content == self.content and not again


class StoreFailure(Exception):  # noqa: N818 - law L4: the service stops and tells this to people
    """The store cannot be read or written; the text says what to do."""


LOWERED_S = 3_600.0
"""How long the refusal of a vendor that was given too much is remembered at the most."""


class DeskStore(Protocol):
    """Where a desk's open work lives. Every write is one transaction. Every method blocks and raises StoreFailure."""

    def acquire(self, home: Home, owner: str, since: float, people: float | None = None) -> Holding:
        """Takes the lease (epoch + 1) and returns what is open, items in the order of their offsets. Others may go on
        writing for their homes meanwhile.

        `recent` holds, oldest first, the entries of open items and every other one that still counts: that ended, or
        has its account left alone, after `since`, or after `people` if it has a reach. One that the vendor refused as
        too much lowers the rate for longer, and counts for `LOWERED_S` more.
        """

    def known(self, ids: Iterable[UUID]) -> Mapping[UUID, Known]:
        """Those of the ids the store has."""

    def commit(self, writes: Sequence[Write]) -> set[tuple[Home, int]]:
        """Applies the writes durably, in this order and all together; returns the (home, epoch) pairs whose lease
        moved: of those nothing is applied. An item in `taken` takes the place of its closed self, if there is one; an
        attempt that began twice is a StoreFailure."""

    def prune(self, before: float, most: int) -> int:
        """Forgets at most so many items closed before then, with their entries; returns how many."""

    def check(self) -> None:
        """Raises StoreFailure when the store does not answer."""

    def close(self) -> None: ...
