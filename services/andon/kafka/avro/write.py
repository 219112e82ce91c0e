"""Writing Avro's binary form: a record of ours by the schema that `derive` makes of its type.

A type becomes Python of its own (`source`) that appends a value to a buffer, in the order of the schema. `fastavro`
isn't used for this: from our types it is half as fast, for they have to become maps first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum
from struct import Struct
from typing import Any

import msgspec
from msgspec import inspect

from andon.kafka.avro.source import Source, indented

Lines = list[str]
Put = Callable[[str], Lines]
"""What appends the value of an expression to `out`; `n` and `b` are free to be used."""


class Unwritable(Exception):  # noqa: N818 - a property of the record
    """The record has no form under its schema, as a time without zone has none."""


def writer(kind: Any) -> Callable[[Any, bytes], bytes]:
    """What writes a record of this type behind some bytes, the head of the value. Raises Unwritable."""
    source = Source(_NAMES)
    put = source.made(source.function("out, value", _Writer(source).of(inspect.type_info(kind))("value")))

    def write(record: Any, head: bytes) -> bytes:
        out = bytearray(head)
        try:
            put(out, record)
        except (ValueError, TypeError, OverflowError, AttributeError, KeyError) as error:
            raise Unwritable(type(error).__name__) from None
        return bytes(out)

    return write


class _Writer:
    """Writes what puts the values of one type."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def of(self, kind: inspect.Type) -> Put:
        if type(kind) in _PLAIN:
            return _PLAIN[type(kind)]
        match kind:
            case inspect.StructType():
                return self._record(kind)
            case inspect.EnumType():
                return self._enum(kind.cls)
            case inspect.UnionType():
                several = [one for one in kind.types if not isinstance(one, inspect.NoneType)]
                if len(several) == 1:
                    return _optional(self.of(several[0]))
                return self._union(several, first=1 if kind.includes_none else 0)
            case inspect.VarTupleType() | inspect.ListType():
                return _blocks("one", "{}", self.of(kind.item_type)("one"))
            case inspect.DictType() if not isinstance(kind.value_type, inspect.AnyType):
                return _blocks("key, one", "{}.items()", [*_text("key"), *self.of(kind.value_type)("one")])
            case inspect.DictType() | inspect.AnyType():
                return _json
        raise TypeError(f"{kind} has no Avro form")

    def _called(self, body: Lines) -> Put:
        name = self._source.function("out, value", body)
        return lambda value: [f"{name}(out, {value})"]

    def _record(self, kind: inspect.StructType) -> Put:
        tag = ["out.append(0)"] if kind.tag_field else []  # the one word of its enum
        fields = [self.of(field.type)(f"value.{field.name}") for field in kind.fields]
        return self._called(tag + [line for lines in fields for line in lines])

    def _enum(self, kind: type[Enum]) -> Put:
        places = self._source.give({member: place for place, member in enumerate(kind)})
        return lambda value: _number(f"{places}[{value}]")

    def _union(self, kinds: Sequence[inspect.Type], *, first: int) -> Put:
        """Records, told apart by their class; null stands before them when `first` is 1."""
        places = {kind.cls: place for place, kind in enumerate(kinds, first) if isinstance(kind, inspect.StructType)}
        body = [f"n = {self._source.give(places)}[type(value)]", "out.append(n << 1)"]
        for place, kind in enumerate(kinds, first):
            body += [f"if n == {place}:", *indented([*self.of(kind)("value"), "return"])]
        union = self._called(body)
        return _unless_none(union, ()) if first else union


def _optional(put: Put) -> Put:
    return _unless_none(put, ("out.append(2)",))


def _unless_none(put: Put, before: Sequence[str]) -> Put:
    return lambda value: [f"if {value} is None: out.append(0)", "else:", *indented([*before, *put(value)])]


def _blocks(each: str, all_of: str, item: Lines) -> Put:
    """All items as one block."""
    return lambda value: [
        f"if {value}:",
        *indented([*_number(f"len({value})"), f"for {each} in {all_of.format(value)}:", *indented(item)]),
        "out.append(0)",
    ]


# ---- values that stand in the text of what holds them


def _number(value: str) -> Lines:
    return [f"n = {value}", "if 0 <= n < 64: out.append(n << 1)", "else: number(out, n)"]


def _bytes(value: str) -> Lines:
    return [f"b = {value}", *_number("len(b)"), "out += b"]


def _text(value: str) -> Lines:
    return _bytes(f"{value}.encode()")


def _json(value: str) -> Lines:
    return _bytes(f"json({value})")


def _uuid(value: str) -> Lines:
    return ["out.append(72)", f"out += json({value})[1:-1]"]  # str(UUID) takes ten times as long


def _moment(value: str) -> Lines:
    return [f"number(out, ({value} - EPOCH) // MICRO)"]


def _boolean(value: str) -> Lines:
    return [f"out.append(1 if {value} else 0)"]


def _double(value: str) -> Lines:
    return [f"out += double({value})"]


_PLAIN: dict[type[inspect.Type], Put] = {
    inspect.StrType: _text,
    inspect.IntType: _number,
    inspect.FloatType: _double,
    inspect.BoolType: _boolean,
    inspect.BytesType: _bytes,
    inspect.DateTimeType: _moment,
    inspect.UUIDType: _uuid,
}


def _long(out: bytearray, value: int) -> None:
    number = (value << 1) ^ (value >> 63)
    if not 0 <= number < 1 << 64:
        raise OverflowError
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)


_NAMES = {
    "number": _long,
    "json": msgspec.json.Encoder().encode,
    "double": Struct("<d").pack,
    "EPOCH": datetime(1970, 1, 1, tzinfo=UTC),
    "MICRO": timedelta(microseconds=1),
}
