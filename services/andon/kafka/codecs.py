"""Bytes of a record ↔ our types. JSON by msgspec; a reader never sees another library's exception."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")

_encoder = msgspec.json.Encoder()


class Undecodable(Exception):  # noqa: N818 - a property of the record
    """The bytes are not a record of this kind; the text says where, without quoting them."""


class Json(Generic[T]):
    """The JSON codec of one record type."""

    def __init__(self, kind: type[T]) -> None:
        self._decoder = msgspec.json.Decoder(kind)

    def decode(self, raw: bytes) -> T:
        """Raises Undecodable for anything that is not exactly such a record, however deep or long it is."""
        try:
            return self._decoder.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
            raise Undecodable(str(error)[:300]) from None
        except RecursionError:
            raise Undecodable("nested too deeply") from None

    def read(self, raw: bytes) -> T | None:
        """As `decode`, but None for anything else: for those who search a log and skip what they cannot read."""
        try:
            return self.decode(raw)
        except Undecodable:
            return None


def encode(record: Any) -> bytes:
    """The JSON bytes of a record of ours."""
    return _encoder.encode(record)
