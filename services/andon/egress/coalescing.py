"""Equal notices for different people of one application: one call may tell them all (`coalesce` of a channel)."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from uuid import UUID

from msgspec.msgpack import encode

from andon.core.delivery import MAX_RECIPIENTS, Delivery
from andon.core.event import Home
from andon.core.ports import Content
from andon.core.work import Item

# A card has buttons, and what is pressed is about the event of the one delivery that its call was for.
_KINDS = frozenset({"text", "markdown"})

Saying = tuple[Home, str, int, bytes]


class Equals:
    """Which waiting items say the very same, under one version of the configuration. An item that has left or ended is
    to be taken out; those of a home are forgotten when it is taken over."""

    def __init__(self) -> None:
        self._saying: dict[UUID, Saying] = {}
        self._same: dict[Saying, dict[UUID, None]] = {}

    def knows(self, item: Item, version: int) -> bool:
        """Whether what it says under this version stands here."""
        saying = self._saying.get(item.id)
        return saying is not None and saying[2] == version

    def enter(self, item: Item, way: str, version: int, parts: Sequence[Content]) -> None:
        """An item that could leave now, and would say this; only one of the same `way` may be told with it."""
        self.leave(item)
        if all(part.kind in _KINDS for part in parts):
            digest = blake2b(encode(parts), digest_size=16).digest()
            saying = self._saying[item.id] = (item.home, way, version, digest)
            self._same.setdefault(saying, {})[item.id] = None

    def leave(self, item: Item) -> None:
        """It does not wait any more."""
        if item.id in self._saying:
            self._drop(item.id)

    def forget(self, home: Home) -> None:
        """All items of a home."""
        for which in [which for which, saying in self._saying.items() if saying[0] == home]:
            self._drop(which)

    def of(self, item: Item, version: int) -> list[UUID]:
        """The others that say the same, in the order in which they came to their turn."""
        saying = self._saying.get(item.id)
        if saying is None or saying[2] != version:
            return []
        return [which for which in self._same[saying] if which != item.id]

    def _drop(self, which: UUID) -> None:
        saying = self._saying.pop(which)
        same = self._same[saying]
        del same[which]
        if not same:
            del self._same[saying]


def alone(delivery: Delivery) -> bool:
    """Whether nobody else is told when its people are not reached: then another's call may reach them."""
    return not delivery.fallback


def people_of_one(first: Delivery, others: Sequence[tuple[Item, Delivery]]) -> tuple[tuple[str, ...], list[Item]]:
    """Whom one call tells, and whose they are: those of the others that share nobody with it, as far as it has room."""
    people, joined = dict.fromkeys(first.recipients), []
    for item, delivery in others:
        fits = len(people) + len(delivery.recipients) <= MAX_RECIPIENTS
        if fits and alone(delivery) and people.keys().isdisjoint(delivery.recipients):
            people.update(dict.fromkeys(delivery.recipients))
            joined.append(item)
    return tuple(people), joined
