"""A desk's store in memory, with the manners of a database: what was not committed is gone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from uuid import UUID

import msgspec

from andon.core.event import Home
from andon.core.reason import Reason
from andon.core.work import LOWERED_S, Closed, Entry, Holding, Item, Known, Note, StoreFailure, Write


class Lease(msgspec.Struct):
    """Who owns a home, and where it reads on."""

    epoch: int
    owner: str
    offset: int | None = None


class MemoryDeskStore:
    """core.work.DeskStore without a disk, for rehearsals of rules and tests of desks.

    Shared by several desks it is their common database: the lease decides whose writes count. It keeps copies, so
    nothing a desk does to an item reaches it but by a commit. While `failure` is set every method raises it. The
    tables are open to look at.
    """

    def __init__(self) -> None:
        self.leases: dict[Home, Lease] = {}
        self.items: dict[UUID, Item] = {}
        self.closed: dict[UUID, Closed] = {}
        self.entries: dict[tuple[UUID, int, int, int], Entry] = {}
        self.memos: dict[Home, dict[str, bytes]] = {}
        self.notes: dict[Home, dict[int, Note]] = {}
        self.failure: StoreFailure | None = None

    def acquire(self, home: Home, owner: str, since: float, people: float | None = None) -> Holding:
        self.check()
        lease = self.leases.setdefault(home, Lease(0, owner))
        lease.epoch, lease.owner = lease.epoch + 1, owner
        items = {one.id: _copied(one) for one in self._open(home)}
        entries = sorted(self.entries.values(), key=lambda entry: (entry.started, entry.number))
        back = since if people is None else min(since, people)
        recent = [
            e for e in entries if e.home == home and (_counts(e, since if e.reach is None else back) or e.item in items)
        ]
        # As in a database, which keeps the queue with the item: of an earlier hop it is not known any more.
        recent = [e if e.hop == self.items[e.item].hop else msgspec.structs.replace(e, queue="") for e in recent]
        for entry in recent:
            item = items.get(entry.item)
            if item is not None and (item.redrive, item.hop) == (entry.redrive, entry.hop):
                item.entries.append(entry)
        memos, notes = self.memos.get(home, {}), self.notes.get(home, {})
        return Holding(
            home, lease.epoch, lease.offset, list(items.values()), recent, dict(memos), sorted(notes.items())
        )

    def _open(self, home: Home) -> list[Item]:
        found = [item for item in self.items.values() if item.home == home and item.id not in self.closed]
        return sorted(found, key=lambda item: item.offset)

    def known(self, ids: Iterable[UUID]) -> Mapping[UUID, Known]:
        self.check()
        found = {one: self.items[one] for one in ids if one in self.items}
        return {one: Known(item.content, item.redrive, one in self.closed, item.hop) for one, item in found.items()}

    def commit(self, writes: Sequence[Write]) -> set[tuple[Home, int]]:
        self.check()
        moved = {(w.home, w.epoch) for w in writes if not self._holds(w)}
        valid = [write for write in writes if (write.home, write.epoch) not in moved]
        begun = [entry.key for write in valid for entry in write.began]
        if len(set(begun)) < len(begun) or not self.entries.keys().isdisjoint(begun):
            raise StoreFailure("an attempt began twice")
        for write in valid:
            self._apply(write)
        return moved

    def _holds(self, write: Write) -> bool:
        lease = self.leases.get(write.home)
        return lease is not None and lease.epoch == write.epoch

    def _apply(self, write: Write) -> None:
        if write.offset is not None:
            self.leases[write.home].offset = write.offset
        for item in write.taken:
            if item.id not in self.items or item.id in self.closed:
                self.closed.pop(item.id, None)
                self.items[item.id] = _copied(item)
        for entry in (*write.began, *write.ended):
            self.entries[entry.key] = entry
        self.items.update((item.id, _copied(item)) for item in write.changed)
        self.closed.update((closed.id, closed) for closed in write.closed)
        memos = self.memos.setdefault(write.home, {})
        for name, body in write.memos.items():
            if body:
                memos[name] = body
            else:
                memos.pop(name, None)
        notes = self.notes.setdefault(write.home, {})
        notes.update(write.notes)
        for number in [one for one in notes if write.published is not None and one <= write.published]:
            del notes[number]

    def prune(self, before: float, most: int) -> int:
        self.check()
        old = [closed.id for closed in self.closed.values() if closed.at < before][:most]
        for one in old:
            del self.items[one], self.closed[one]
        self.entries = {key: entry for key, entry in self.entries.items() if entry.item in self.items}
        return len(old)

    def check(self) -> None:
        if self.failure is not None:
            raise self.failure

    def close(self) -> None:
        """Keeps everything: the next owner opens the same store."""


def _copied(item: Item) -> Item:
    item = copy(item)
    item.entries = []
    return item


def _counts(entry: Entry, since: float) -> bool:
    ended = entry.started if entry.ended is None else entry.ended
    lowers = entry.reason is Reason.THROTTLED and ended > since - LOWERED_S
    return max(entry.started, ended, entry.until) > since or lowers
