"""What the egress desk remembers beside its open items: under each name of a home one thing, which a memo keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, Protocol, TypeVar

import msgspec

from andon.core.event import Home
from andon.core.work import memo_name
from andon.kafka.codecs import Json, encode

Memos = dict[str, bytes]

_SWEEP_S = 60.0
# Rows that are forgotten with one decision: many may be over at one moment, and a commit is to stay short.
_AT_ONCE = 250


class Mattering(Protocol):
    """Something that is worth remembering until it is `over`."""

    over: float

    def done_by(self, now: float) -> bool:
        """Lets what it says was done later count as done now; whether there was any such thing."""


M = TypeVar("M", bound=Mattering)


class Kept(Generic[M]):
    """The things of one kind, of the homes a desk owns. What is changed is put back, which returns the memos that keep
    it; among them, now and then, those of which nothing matters any more, to be forgotten.

    In memory they lie as they do in the store: a hundred thousand are a third of what they would be as objects.
    """

    def __init__(self, kind: type[M]) -> None:
        self._of: dict[Home, dict[str, bytes]] = {}
        self._gone: dict[Home, dict[str, None]] = {}
        self._swept: dict[Home, float] = {}
        self._codec = Json(kind)

    def keep(self, home: Home, memos: Mapping[str, bytes], now: float) -> None:
        """The memos of a home this process takes over now."""
        of = self._of[home] = dict(memos)
        self._gone[home] = {}
        for name, body in memos.items():
            one = self._codec.decode(body)
            if one.done_by(now):
                of[name] = encode(one)

    def memo(self, home: Home, name: str) -> bytes:
        """A memo as it stands now."""
        return self._of[home][name]

    def get(self, home: Home, name: str) -> M | None:
        """What is remembered under a name."""
        of = self._of.get(home)
        body = of.get(memo_name(name)) if of else None
        return None if body is None else self._codec.decode(body)

    def put(self, home: Home, name: str, one: M, now: float) -> Memos:
        """Remembers it as it stands now."""
        name = memo_name(name)
        of, gone = self._of.setdefault(home, {}), self._gone.setdefault(home, {})
        body = of[name] = encode(one)
        gone.pop(name, None)
        if now >= self._swept.get(home, 0.0) + _SWEEP_S:
            self._sweep(home, now)
        memos: Memos = {name: body}
        while gone and len(memos) <= _AT_ONCE:
            memos[gone.popitem()[0]] = b""
        return memos

    def _sweep(self, home: Home, now: float) -> None:
        self._swept[home] = now
        of = self._of[home]
        over = [name for name, body in of.items() if self._codec.decode(body).over <= now]
        self._gone[home].update(dict.fromkeys(over))
        for name in over:
            del of[name]


class _Domain(msgspec.Struct):
    domain: str


def domain_of(memo: bytes) -> str:
    """The limit domain whose deliveries a memo is about."""
    return Json(_Domain).decode(memo).domain
