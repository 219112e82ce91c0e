"""What the records of a topic do to a desk: items into queues, repeats passed over, conflicts and poison parked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID, uuid5

import msgspec

from andon.core.event import Home
from andon.core.outcome import Parked
from andon.core.reason import Reason
from andon.core.work import Item, Known, Write
from andon.kafka.codecs import Undecodable
from andon.kafka.records import Record
from andon.runtime.desk.desk import Desk
from andon.runtime.desk.work import Advance, Taken, Work
from andon.runtime.dlq import dlq_note, redrive_of
from andon.runtime.metrics import Metrics

Read = tuple[Record, Taken | Advance | Undecodable]


class Refused(msgspec.Struct, frozen=True):
    """The first record of a home that found no room: it, and all behind it, are to be read again from `offset`."""

    offset: int
    item: Item


class Intake:
    """Takes records into a desk: `read`, then ask the store what it knows of `ids`, then `take`.

    Only `take` changes anything, and its writes are to be submitted before anything else happens: so no other write has
    what a record changed before the one that has its item, its notes and its offset (law L1).
    """

    def __init__(self, desk: Desk, work: Work, metrics: Metrics, service: str) -> None:
        self._desk = desk
        self._work = work
        self._metrics = metrics
        self._service = service

    def read(self, records: Sequence[Record]) -> list[Read]:
        """What the records say. Every record is read once, in order."""
        return [(record, self._decoded(record)) for record in records]

    def _decoded(self, record: Record) -> Taken | Advance | Undecodable:
        if record.unread:
            return Undecodable(record.unread)
        try:
            return self._work.read(record)
        except Undecodable as error:
            # Another one: what was raised holds the frames it came through, the batch in them, and so itself.
            return Undecodable(str(error))

    def take(
        self, read: Sequence[Read], known: Mapping[UUID, Known], now: float
    ) -> tuple[dict[Home, Write], dict[Home, Refused]]:
        """The writes that take the records in, one per home, and the homes whose records found no room.

        Records of a home that has left are passed over: its next owner reads them.
        """
        so_far = dict(known)
        writes: dict[Home, Write] = {}
        refused: dict[Home, Refused] = {}
        for record, said in read:
            home = record.home
            if home not in self._desk.epochs or home in refused:
                continue
            write = writes.get(home) or writes.setdefault(home, Write(home, self._desk.epochs[home]))
            if isinstance(said, Undecodable):
                self._park(record, Parked(Reason.UNDECODABLE, str(said)), write)
            else:
                taken = said.take(so_far)
                if taken.item and not self._enter(record, taken.item, so_far, write, now):
                    refused[home] = Refused(record.offset, taken.item)
                    continue
                write.memos.update((name, self._work.memo(home, name)) for name in taken.memos)
                self._desk.note(write, taken.notes)
            write.offset = record.offset + 1
        return writes, refused

    def _enter(self, record: Record, item: Item, known: dict[UUID, Known], write: Write, now: float) -> bool:
        item.redrive = redrive_of(record)
        before = known.get(item.id)
        if before and before.repeated_by(item.content, item.redrive, item.hop):
            return True
        if before and before.content != item.content:
            self._conflict(item, write, now)
            return True
        if not self._desk.admit(item, now, write):
            return False
        known[item.id] = Known(item.content, item.redrive, closed=False, hop=item.hop)
        return True

    def _conflict(self, item: Item, write: Write, now: float) -> None:
        """Ends an item whose id stands for other content: under an id of its own, which every repeat of it shares."""
        clash = msgspec.structs.replace(item, id=uuid5(item.id, item.content.hex()), entries=[])
        parked = Parked(Reason.CONFLICT, f"{item.id} is taken by other content")
        told = self._work.closed(clash, parked, (), now)
        write.memos.update(told.memos)
        self._desk.note(write, told.notes)

    def _park(self, record: Record, parked: Parked, write: Write) -> None:
        self._metrics.record(self._service, "parked", parked.reason)
        self._desk.note(write, [dlq_note(record, parked)])


def ids(read: Sequence[Read]) -> list[UUID]:
    """The ids of the items that what was read is or may become."""
    return [one for _, said in read if not isinstance(said, Undecodable) for one in said.ids]
