"""Reading Avro's binary form by the schema it was written with: strictly, and bounded by the bytes there are.

A schema becomes a tree of functions, each from bytes and a place to a value and the next place. What is read is what
the same record would be as JSON; whether it is a record of ours is judged as it is there. So every version of a schema
reads alike, and defaults, unknown fields and unknown words are one rule for both forms.

`fastavro` isn't used for this: it takes a negative index of a union or an enum as one from the end, a number of any
length, any byte as a boolean, and ends the process on a value that is nested deeply (its 1.13).

Every schema that is taken spends at least one byte on each value but null, and null stands in unions only. So no count
of a block, however large, makes work that is not bounded by the record's length.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from andon.kafka.codecs import Undecodable

Read = Callable[[bytes, int], tuple[Any, int]]

MOST_ITEMS = 100_000
MOST_DEPTH = 64
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_decode = msgspec.json.Decoder().decode
_FLOAT, _DOUBLE = struct.Struct("<f"), struct.Struct("<d")


class SchemaUnusable(Exception):  # noqa: N818 - a property of the schema
    """No record can be read by this schema; the text says why."""


def reader(schema: Any) -> Callable[[bytes, int], Any]:
    """What reads one value from a place to the end of the bytes. Raises SchemaUnusable; what it gives raises
    Undecodable for anything that is not exactly one value, and never costs more than a small multiple of its length."""
    read = _Reader().of(schema, 0)

    def whole(raw: bytes, start: int) -> Any:
        try:
            value, end = read(raw, start)
        except (IndexError, struct.error):
            raise Undecodable("it ends before it is complete") from None
        except UnicodeDecodeError:
            raise Undecodable("a text is not UTF-8") from None
        except OverflowError:
            raise Undecodable("a time lies outside of the calendar") from None
        except RecursionError:
            raise Undecodable("nested too deeply") from None
        except msgspec.MsgspecError as error:
            raise Undecodable(f"a text is not the JSON it should be: {error}"[:300]) from None
        if end > len(raw):
            raise Undecodable("it ends before it is complete")
        if end < len(raw):
            raise Undecodable(f"{len(raw) - end} bytes follow its end")
        return value

    return whole


class _Reader:
    """Makes the functions of one schema; knows the names it has met."""

    def __init__(self) -> None:
        self._named: dict[str, Read | None] = {}

    def of(self, schema: Any, depth: int, space: str = "") -> Read:
        if depth > MOST_DEPTH:
            raise SchemaUnusable(f"it is nested deeper than {MOST_DEPTH} levels")
        if isinstance(schema, list):
            return self._union(schema, depth, space)
        if isinstance(schema, str):
            return _PRIMITIVE.get(schema) or self._known(schema, space)
        if not isinstance(schema, dict):
            raise SchemaUnusable("a type is neither a name, an object nor a list")
        kind = schema.get("type")
        if isinstance(kind, dict | list):
            return self.of(kind, depth + 1, space)
        if logical := _LOGICAL.get((kind, schema.get("logicalType"))):
            return logical
        match kind:
            case "record" | "error":
                return self._record(schema, depth, space)
            case "enum":
                return self._name(schema, space, _enum(_list(schema, "symbols")))
            case "fixed":
                return self._name(schema, space, _fixed(schema.get("size")))
            case "array":
                return _array(self.of(schema.get("items"), depth + 1, space))
            case "map":
                return _map(self.of(schema.get("values"), depth + 1, space))
        return self.of(kind, depth + 1, space)

    def _known(self, name: str, space: str) -> Read:
        full = name if "." in name or not space else f"{space}.{name}"
        if full not in self._named:
            raise SchemaUnusable("null stands outside of a union" if name == "null" else f"it has no type {name!r}")
        read = self._named[full]
        if read is None:
            raise SchemaUnusable(f"the type {full} holds itself, and no record of ours does")
        return read

    def _name(self, schema: Mapping[str, Any], space: str, read: Read) -> Read:
        self._named[_full_name(schema, space)] = read
        return read

    def _record(self, schema: Mapping[str, Any], depth: int, space: str) -> Read:
        full = _full_name(schema, space)
        inner = full.rpartition(".")[0]
        self._named[full] = None  # being made: a mention within it is a cycle
        fields = []
        for field in _list(schema, "fields"):
            if not isinstance(field, dict) or not isinstance(field.get("name"), str):
                raise SchemaUnusable(f"a field of {full} has no name")
            fields.append((field["name"], self.of(field.get("type"), depth + 1, inner)))
        if not fields:
            raise SchemaUnusable(f"{full} has no field")
        return self._name(schema, space, _record(tuple(fields)))

    def _union(self, schema: Sequence[Any], depth: int, space: str) -> Read:
        branches = [_null if one == "null" else self.of(one, depth + 1, space) for one in schema]
        if not branches:
            raise SchemaUnusable("a union has no branch")
        return _union(tuple(branches))


def _full_name(schema: Mapping[str, Any], space: str) -> str:
    name, own = schema.get("name"), schema.get("namespace", space)
    if not isinstance(name, str) or not isinstance(own, str) or not name:
        raise SchemaUnusable("a type has no name")
    return name if "." in name or not own else f"{own}.{name}"


def _list(schema: Mapping[str, Any], key: str) -> list[Any]:
    found = schema.get(key)
    if not isinstance(found, list):
        raise SchemaUnusable(f"{schema.get('name')} has no {key}")
    return found


# ---- values


def _null(_raw: bytes, at: int) -> tuple[None, int]:
    return None, at


def _boolean(raw: bytes, at: int) -> tuple[bool, int]:
    if raw[at] > 1:
        raise Undecodable("a boolean is neither 0 nor 1")
    return raw[at] == 1, at + 1


def _long(raw: bytes, at: int) -> tuple[int, int]:
    number = raw[at]
    if number < 0x80:
        return (number >> 1) ^ -(number & 1), at + 1
    number, at = _longer(raw, at + 1, number & 0x7F)
    return (number >> 1) ^ -(number & 1), at


def _longer(raw: bytes, at: int, number: int) -> tuple[int, int]:
    """The rest of a number of several bytes; refuses one that is longer than it need be or than 64 bits."""
    shift = 7
    byte = raw[at]
    while byte >= 0x80:
        number |= (byte & 0x7F) << shift
        shift += 7
        if shift > 63:
            raise Undecodable("a number has more than ten bytes")
        at += 1
        byte = raw[at]
    number |= byte << shift
    at += 1
    if byte == 0 or number >> 64:
        raise Undecodable("a number is longer than it may be")
    return number, at


def _size(raw: bytes, at: int) -> tuple[int, int]:
    size = raw[at]
    if size < 0x80 and not size & 1:
        return size >> 1, at + 1  # a length that goes beyond the end shows there
    size, at = _long(raw, at)
    if size < 0:
        raise Undecodable("a length is negative")
    if size > len(raw) - at:
        raise Undecodable("a length goes beyond the end")
    return size, at


def _bytes(raw: bytes, at: int) -> tuple[bytes, int]:
    size, at = _size(raw, at)
    return raw[at : at + size], at + size


def _string(raw: bytes, at: int) -> tuple[str, int]:
    size = raw[at]
    if size < 0x80 and not size & 1:
        at += 1
        end = at + (size >> 1)
        return raw[at:end].decode(), end
    size, at = _size(raw, at)
    return raw[at : at + size].decode(), at + size


def _json(raw: bytes, at: int) -> tuple[Any, int]:
    size, at = _size(raw, at)
    return _decode(raw[at : at + size]), at + size


def _micros(raw: bytes, at: int) -> tuple[datetime, int]:
    number, at = _long(raw, at)
    return _EPOCH + timedelta(microseconds=number), at


def _millis(raw: bytes, at: int) -> tuple[datetime, int]:
    number, at = _long(raw, at)
    return _EPOCH + timedelta(milliseconds=number), at


def _float(raw: bytes, at: int) -> tuple[float, int]:
    return _FLOAT.unpack_from(raw, at)[0], at + 4


def _double(raw: bytes, at: int) -> tuple[float, int]:
    return _DOUBLE.unpack_from(raw, at)[0], at + 8


def _index(raw: bytes, at: int, count: int, what: str) -> tuple[int, int]:
    index, at = _long(raw, at)
    if not 0 <= index < count:
        raise Undecodable(f"{what} has no number {index}")
    return index, at


def _enum(symbols: Sequence[Any]) -> Read:
    def read(raw: bytes, at: int) -> tuple[Any, int]:
        index, at = _index(raw, at, len(symbols), "an enum")
        return symbols[index], at

    return read


def _fixed(size: Any) -> Read:
    if not isinstance(size, int) or size < 1:
        raise SchemaUnusable("a fixed has no size")

    def read(raw: bytes, at: int) -> tuple[bytes, int]:
        if size > len(raw) - at:
            raise Undecodable("it ends before it is complete")
        return raw[at : at + size], at + size

    return read


def _union(branches: Sequence[Read]) -> Read:
    nothing = branches[0] is _null

    def read(raw: bytes, at: int) -> tuple[Any, int]:
        if nothing and raw[at] == 0:
            return None, at + 1
        index, at = _index(raw, at, len(branches), "a union")
        return branches[index](raw, at)

    return read


def _record(fields: Sequence[tuple[str, Read]]) -> Read:
    def read(raw: bytes, at: int) -> tuple[dict[str, Any], int]:
        found: dict[str, Any] = {}
        for name, one in fields:
            # Texts and numbers stand here too, because they are most of what there is, and a call costs as much.
            if one is _string:
                size = raw[at]
                if size < 0x80 and not size & 1:
                    end = at + 1 + (size >> 1)
                    found[name] = raw[at + 1 : end].decode()
                    at = end
                    continue
            elif one is _long:
                number = raw[at]
                if number < 0x80:
                    found[name] = (number >> 1) ^ -(number & 1)
                    at += 1
                    continue
            found[name], at = one(raw, at)
        return found, at

    return read


def _block(raw: bytes, at: int, so_far: int) -> tuple[int, int]:
    """How many items come next, 0 at the end. A negative count is followed by the block's length, which is not needed
    by who reads all of it."""
    count, at = _long(raw, at)
    if count < 0:
        count = -count
        _, at = _size(raw, at)
    if count + so_far > MOST_ITEMS or count > len(raw) - at:
        raise Undecodable(f"a block of {count} items is more than there can be")
    return count, at


def _array(item: Read) -> Read:
    def read(raw: bytes, at: int) -> tuple[list[Any], int]:
        found: list[Any] = []
        while True:
            count, at = _block(raw, at, len(found))
            if not count:
                return found, at
            for _ in range(count):
                one, at = item(raw, at)
                found.append(one)

    return read


def _map(value: Read) -> Read:
    def read(raw: bytes, at: int) -> tuple[dict[str, Any], int]:
        found: dict[str, Any] = {}
        seen = 0
        while True:
            count, at = _block(raw, at, seen)
            if not count:
                return found, at
            seen += count
            for _ in range(count):
                key, at = _string(raw, at)
                found[key], at = value(raw, at)

    return read


_PRIMITIVE: Mapping[str, Read] = {
    "boolean": _boolean,
    "int": _long,
    "long": _long,
    "float": _float,
    "double": _double,
    "bytes": _bytes,
    "string": _string,
}
_LOGICAL: Mapping[tuple[Any, Any], Read] = {
    ("string", "json"): _json,
    ("long", "timestamp-micros"): _micros,
    ("long", "timestamp-millis"): _millis,
}
