"""Minted ids: UUIDv7 (RFC 9562), so that a search by id knows where in time to begin."""

from __future__ import annotations

from uuid import UUID


def uuid7(now: float, random: bytes) -> UUID:
    """A UUIDv7 of the time `now` (seconds since 1970) and 10 random bytes."""
    if len(random) != 10:
        raise ValueError("uuid7 takes exactly 10 random bytes")
    value = int(now * 1000) << 80 | int.from_bytes(random, "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)


def minted_at(text: str) -> float | None:
    """The time inside a UUIDv7, in seconds since 1970; None for any other id."""
    try:
        value = UUID(text)
    except ValueError:
        return None
    return (value.int >> 80) / 1000 if value.version == 7 else None
