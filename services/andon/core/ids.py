"""Ids (RFC 9562): minted ones as UUIDv7, so that a search knows where in time to begin; derived ones as UUIDv5."""

from __future__ import annotations

from hashlib import sha1
from uuid import UUID, SafeUUID

_NEITHER = ~(0xF << 76 | 0x3 << 62)
_VERSION_7 = 0x7 << 76 | 0x2 << 62
_VERSION_5 = 0x5 << 76 | 0x2 << 62


def uuid7(now: float, random: bytes) -> UUID:
    """A UUIDv7 of the time `now` (seconds since 1970) and 10 random bytes."""
    if len(random) != 10:
        raise ValueError("uuid7 takes exactly 10 random bytes")
    value = int(now * 1000) << 80 | int.from_bytes(random, "big")
    return _uuid(value & _NEITHER | _VERSION_7)


def minted_at(text: str) -> float | None:
    """The time inside a UUIDv7, in seconds since 1970; None for any other id."""
    try:
        value = UUID(text)
    except ValueError:
        return None
    return (value.int >> 80) / 1000 if value.version == 7 else None


class Namespace:
    """Ids derived from names: always the same for the same name, as `uuid.uuid5` gives them, in half of its time."""

    def __init__(self, namespace: UUID) -> None:
        self._begun = sha1(namespace.bytes, usedforsecurity=False)

    def id(self, name: str) -> UUID:
        """The UUIDv5 of a name."""
        digest = self._begun.copy()
        digest.update(name.encode())
        value = int.from_bytes(digest.digest()[:16], "big")
        return _uuid(value & _NEITHER | _VERSION_5)


def _uuid(value: int) -> UUID:
    """`UUID(int=value)` in half of its time: its constructor looks at six ways to say an id, then sets these two."""
    made = UUID.__new__(UUID)
    object.__setattr__(made, "int", value)
    object.__setattr__(made, "is_safe", SafeUUID.unknown)
    return made
