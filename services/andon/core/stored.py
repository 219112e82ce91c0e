"""What a desk keeps open, as whatever version took it in wrote it down."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")

# The times of a record that come from its producer; all others are Andon's own.
_TIMES = frozenset({"time", "first", "last"})
_NOT_OURS = frozenset({"data", "labels", "facts"})


class Stored(Generic[T]):
    """Reads what a desk has stored of one type. A time without a zone is one of UTC: versions that took such events in
    left rows of them, and a row that cannot be read would stop the desk at every start."""

    def __init__(self, kind: type[T]) -> None:
        self._decoder = msgspec.json.Decoder(kind)

    def decode(self, raw: bytes) -> T:
        """Raises msgspec.MsgspecError for what never was such a record."""
        try:
            return self._decoder.decode(raw)
        except msgspec.ValidationError:
            return self._decoder.decode(msgspec.json.encode(_zoned(msgspec.json.decode(raw))))


def _zoned(part: Any, name: str = "") -> Any:
    if isinstance(part, dict):
        return {key: one if key in _NOT_OURS else _zoned(one, key) for key, one in part.items()}
    if isinstance(part, list):
        return [_zoned(one) for one in part]
    return f"{part}Z" if name in _TIMES and isinstance(part, str) and _has_no_zone(part) else part


def _has_no_zone(text: str) -> bool:
    try:
        return msgspec.convert(text, datetime).tzinfo is None
    except msgspec.ValidationError:
        return False
