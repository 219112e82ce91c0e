"""Writing Avro's binary form: a record of ours by the schema that `derive` makes of its type.

A type becomes a tree of functions, each appending a value to a buffer, in the order of the schema. `fastavro` isn't
used for this: from our types it is half as fast, for they have to become maps first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum
from struct import Struct
from typing import Any

import msgspec
from msgspec import inspect
from msgspec.structs import astuple

Put = Callable[[bytearray, Any], None]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)
_DOUBLE = Struct("<d")
_encode = msgspec.json.Encoder().encode


class Unwritable(Exception):  # noqa: N818 - a property of the record
    """The record has no form under its schema, as a time without zone has none."""


def writer(kind: Any) -> Callable[[Any, bytes], bytes]:
    """What writes a record of this type behind some bytes, the head of the value. Raises Unwritable."""
    put = _put(inspect.type_info(kind))

    def write(record: Any, head: bytes) -> bytes:
        out = bytearray(head)
        try:
            put(out, record)
        except (ValueError, TypeError, OverflowError, AttributeError, KeyError) as error:
            raise Unwritable(type(error).__name__) from None
        return bytes(out)

    return write


def _put(kind: inspect.Type) -> Put:
    if type(kind) in _PLAIN:
        return _PLAIN[type(kind)]
    match kind:
        case inspect.StructType():
            return _record([_put(field.type) for field in kind.fields], tagged=kind.tag_field is not None)
        case inspect.EnumType():
            return _enum(kind.cls)
        case inspect.UnionType():
            return _union(
                [one for one in kind.types if not isinstance(one, inspect.NoneType)], optional=kind.includes_none
            )
        case inspect.VarTupleType() | inspect.ListType():
            return _array(_put(kind.item_type))
        case inspect.DictType() if not isinstance(kind.value_type, inspect.AnyType):
            return _map(_put(kind.value_type))
        case inspect.DictType() | inspect.AnyType():
            return _json
    raise TypeError(f"{kind} has no Avro form")


def _number(out: bytearray, value: int) -> None:
    number = (value << 1) ^ (value >> 63)
    if not 0 <= number < 1 << 64:
        raise OverflowError
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)


def _bytes(out: bytearray, value: bytes) -> None:
    size = len(value)
    if size < 0x40:
        out.append(size << 1)
    else:
        _number(out, size)
    out += value


def _text(out: bytearray, value: str) -> None:
    _bytes(out, value.encode())


def _json(out: bytearray, value: Any) -> None:
    _bytes(out, _encode(value))


def _uuid(out: bytearray, value: Any) -> None:
    out.append(72)
    out += str(value).encode()


def _moment(out: bytearray, value: datetime) -> None:
    _number(out, (value - _EPOCH) // _MICRO)


def _boolean(out: bytearray, value: bool) -> None:
    out.append(1 if value else 0)


def _double(out: bytearray, value: float) -> None:
    out += _DOUBLE.pack(value)


def _record(puts: Sequence[Put], *, tagged: bool) -> Put:
    def put(out: bytearray, record: Any) -> None:
        if tagged:
            out.append(0)  # the one word of its enum
        for one, value in zip(puts, astuple(record), strict=False):
            # Texts stand here too, because they are most of what there is, and a call costs as much as the text.
            if one is _text:
                text = value.encode()
                if len(text) < 0x40:
                    out.append(len(text) << 1)
                    out += text
                    continue
            one(out, value)

    return put


def _enum(kind: type[Enum]) -> Put:
    places = {member: place for place, member in enumerate(kind)}

    def put(out: bytearray, value: Any) -> None:
        _number(out, places[value])

    return put


def _union(kinds: Sequence[inspect.Type], *, optional: bool) -> Put:
    puts = [_put(kind) for kind in kinds]
    first = 1 if optional else 0
    if len(kinds) == 1:
        return _optional(puts[0])
    places = {kind.cls: place for place, kind in enumerate(kinds) if isinstance(kind, inspect.StructType)}

    def put(out: bytearray, value: Any) -> None:
        if value is None and optional:
            out.append(0)
        else:
            place = places[type(value)]
            out.append((first + place) << 1)
            puts[place](out, value)

    return put


def _optional(one: Put) -> Put:
    def put(out: bytearray, value: Any) -> None:
        if value is None:
            out.append(0)
        else:
            out.append(2)
            one(out, value)

    return put


def _array(item: Put) -> Put:
    def put(out: bytearray, values: Sequence[Any]) -> None:
        if values:
            _number(out, len(values))
            for one in values:
                item(out, one)
        out.append(0)

    return put


def _map(put_value: Put) -> Put:
    def put(out: bytearray, values: dict[str, Any]) -> None:
        if values:
            _number(out, len(values))
            for key, value in values.items():
                _text(out, key)
                put_value(out, value)
        out.append(0)

    return put


_PLAIN: dict[type[inspect.Type], Put] = {
    inspect.StrType: _text,
    inspect.IntType: _number,
    inspect.FloatType: _double,
    inspect.BoolType: _boolean,
    inspect.BytesType: _bytes,
    inspect.DateTimeType: _moment,
    inspect.UUIDType: _uuid,
}
