"""The parts of Avro's binary form that are longer than usual or wrong: read slowly, and refused with a reason.

What the readers of `read` meet most they take themselves; for everything else they come here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from andon.kafka.codecs import Undecodable

MOST_ITEMS = 100_000


def long(raw: bytes, at: int) -> tuple[int, int]:
    """A whole number and the place after it; refuses one that is longer than it need be or than 64 bits."""
    byte = raw[at]
    number, shift = byte & 0x7F, 0
    while byte >= 0x80:
        shift += 7
        if shift > 63:
            raise Undecodable("a number has more than ten bytes")
        at += 1
        byte = raw[at]
        number |= (byte & 0x7F) << shift
    if (shift and not byte) or number >> 64:
        raise Undecodable("a number is longer than it may be")
    return (number >> 1) ^ -(number & 1), at + 1


def size(raw: bytes, at: int) -> tuple[int, int]:
    """A length that stays within the bytes there are."""
    found, at = long(raw, at)
    if found < 0:
        raise Undecodable("a length is negative")
    if found > len(raw) - at:
        raise Undecodable("a length goes beyond the end")
    return found, at


def boolean(raw: bytes, at: int) -> bool:
    """One byte, 0 or 1."""
    if raw[at] > 1:
        raise Undecodable("a boolean is neither 0 nor 1")
    return raw[at] == 1


def fixed(raw: bytes, at: int, length: int) -> bytes:
    """Exactly so many bytes."""
    if length > len(raw) - at:
        raise Undecodable("it ends before it is complete")
    return raw[at : at + length]


def index(raw: bytes, at: int, count: int, what: str) -> tuple[int, int]:
    """A number from 0 to `count` - 1."""
    found, at = long(raw, at)
    if not 0 <= found < count:
        raise Undecodable(f"{what} has no number {found}")
    return found, at


def word(raw: bytes, at: int, words: Sequence[Any]) -> tuple[Any, int]:
    """A word of an enum."""
    found, at = index(raw, at, len(words), "an enum")
    return words[found], at


def block(raw: bytes, at: int) -> tuple[int, int]:
    """How many items come next, 0 at the end. A negative count is followed by the block's length, which is not needed
    by who reads all of it."""
    count, at = long(raw, at)
    if count < 0:
        count = -count
        _, at = size(raw, at)
    if count > len(raw) - at:
        too_many(count)
    return count, at


def too_many(count: int) -> None:
    """Refuses more items than there can be."""
    raise Undecodable(f"{count} items are more than there can be")
