"""Reading Avro's binary form by the schema it was written with: strictly, and bounded by the bytes there are.

A schema becomes Python of its own (`source`). What is read is what the same record would be as JSON; whether it is a
record of ours is judged as it is there. So every version of a schema reads alike, and defaults, unknown fields and
unknown words are one rule for both forms.

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

from andon.kafka.avro import strict
from andon.kafka.avro.source import Source, indented
from andon.kafka.codecs import Undecodable

MOST_DEPTH = 64
_FLOAT, _DOUBLE = struct.Struct("<f"), struct.Struct("<d")
_NAMES = {
    "long": strict.long,
    "size": strict.size,
    "boolean": strict.boolean,
    "fixed": strict.fixed,
    "index": strict.index,
    "word": strict.word,
    "block": strict.block,
    "too_many": strict.too_many,
    "MOST_ITEMS": strict.MOST_ITEMS,
    "json": msgspec.json.Decoder().decode,
    "float32": _FLOAT.unpack_from,
    "float64": _DOUBLE.unpack_from,
    "EPOCH": datetime(1970, 1, 1, tzinfo=UTC),
    "after": timedelta,
}

Lines = list[str]
Into = Callable[[str], Lines]
"""What reads a value into a variable of that name: `raw` are the bytes, `at` the place, `n` is free to be used."""


class SchemaUnusable(Exception):  # noqa: N818 - a property of the schema
    """No record can be read by this schema; the text says why."""


def reader(schema: Any) -> Callable[[bytes, int], Any]:
    """What reads one value from a place to the end of the bytes. Raises SchemaUnusable; what it gives raises
    Undecodable for anything that is not exactly one value, and never costs more than a small multiple of its length."""
    source = Source(_NAMES)
    into = _Reader(source).of(schema, 0)
    read = source.made(source.function("raw, at", [*into("value"), "return value, at"]))

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
    """Writes what reads the types of one schema; knows the names it has met."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._named: dict[str, Into | None] = {}

    def of(self, schema: Any, depth: int, space: str = "") -> Into:
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
        named = schema.get("logicalType")
        if isinstance(named, str) and (logical := _LOGICAL.get((kind, named))):
            return logical
        match kind:
            case "record" | "error":
                return self._record(schema, depth, space)
            case "enum":
                return self._name(schema, space, self._enum(_list(schema, "symbols")))
            case "fixed":
                return self._name(schema, space, _fixed(schema.get("size")))
            case "array":
                return self._array(self.of(schema.get("items"), depth + 1, space))
            case "map":
                return self._map(self.of(schema.get("values"), depth + 1, space))
        return self.of(kind, depth + 1, space)

    def _known(self, name: str, space: str) -> Into:
        full = name if "." in name or not space else f"{space}.{name}"
        if full not in self._named:
            raise SchemaUnusable("null stands outside of a union" if name == "null" else f"it has no type {name!r}")
        into = self._named[full]
        if into is None:
            raise SchemaUnusable(f"the type {full} holds itself, and no record of ours does")
        return into

    def _name(self, schema: Mapping[str, Any], space: str, into: Into) -> Into:
        self._named[_full_name(schema, space)] = into
        return into

    def _record(self, schema: Mapping[str, Any], depth: int, space: str) -> Into:
        full = _full_name(schema, space)
        inner = full.rpartition(".")[0]
        self._named[full] = None  # being made: a mention within it is a cycle
        body: Lines = []
        found: Lines = []
        for place, field in enumerate(_list(schema, "fields")):
            if not isinstance(field, dict) or not isinstance(field.get("name"), str):
                raise SchemaUnusable(f"a field of {full} has no name")
            body += self.of(field.get("type"), depth + 1, inner)(f"v{place}")
            found.append(f"{field['name']!r}: v{place}")
        if not found:
            raise SchemaUnusable(f"{full} has no field")
        return self._name(schema, space, self._called([*body, f"return {{{', '.join(found)}}}, at"]))

    def _called(self, body: Lines) -> Into:
        """A function of its own: what stands in a schema once is written once, however often it is mentioned."""
        name = self._source.function("raw, at", body)
        return lambda target: [f"{target}, at = {name}(raw, at)"]

    def _enum(self, symbols: Sequence[Any]) -> Into:
        short = self._source.give({place << 1: symbol for place, symbol in enumerate(symbols[:64])})
        words = self._source.give(symbols)
        return lambda target: [
            f"{target} = {short}.get(raw[at])",
            f"if {target} is None: {target}, at = word(raw, at, {words})",
            "else: at += 1",
        ]

    def _union(self, schema: Sequence[Any], depth: int, space: str) -> Into:
        if any(_is_union(one) for one in schema):
            raise SchemaUnusable("a union stands directly in a union")
        branches = [_null if one == "null" else self.of(one, depth + 1, space) for one in schema]
        if not branches:
            raise SchemaUnusable("a union has no branch")
        body = [f'n, at = index(raw, at, {len(branches)}, "a union")']
        if branches[0] is _null and len(branches) == 2:
            return lambda target: [
                f"if raw[at] == 0: {target} = None; at += 1",
                "else:",
                *indented([*body, f"if n == 0: {target} = None", "else:", *indented(branches[1](target))]),
            ]
        for place, into in enumerate(branches):
            body += [f"if n == {place}:", *indented([*into("value"), "return value, at"])]
        return self._called(body)

    def _array(self, item: Into) -> Into:
        return self._called(_blocks("[]", [*item("one"), "found.append(one)"]))

    def _map(self, value: Into) -> Into:
        return self._called(_blocks("{}", [*_string("key"), *value("one"), "found[key] = one"]))


def _blocks(empty: str, item: Lines) -> Lines:
    again = ["count = raw[at]", "if count & 0x81: count, at = block(raw, at)", "else: count >>= 1; at += 1"]
    again += ["if not count: return found, at", "seen += count", "if seen > MOST_ITEMS: too_many(seen)"]
    return [
        f"found = {empty}",
        "seen = 0",
        "while True:",
        *indented([*again, "for _ in range(count):", *indented(item)]),
    ]


def _is_union(schema: Any) -> bool:
    while isinstance(schema, dict) and isinstance(schema.get("type"), dict | list):
        schema = schema["type"]
    return isinstance(schema, list)


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


# ---- values that stand in the text of what holds them


def _null(target: str) -> Lines:
    return [f"{target} = None"]


# A length of one byte that goes beyond the end shows there: a slice ends before, and the place after it is too far.
_SIZE = ["n = raw[at]", "if n & 0x81: n, at = size(raw, at)", "else: n >>= 1; at += 1"]
_LONG = ["n = raw[at]", "if n & 0x80: n, at = long(raw, at)", "else: n = (n >> 1) ^ -(n & 1); at += 1"]


def _string(target: str) -> Lines:
    return [*_SIZE, f"{target} = raw[at:(at := at + n)].decode()"]


def _bytes(target: str) -> Lines:
    return [*_SIZE, f"{target} = raw[at:(at := at + n)]"]


def _json(target: str) -> Lines:
    return [*_SIZE, f"{target} = json(raw[at:(at := at + n)])"]


def _long(target: str) -> Lines:
    return [*_LONG, f"{target} = n"]


def _micros(target: str) -> Lines:
    return [*_LONG, f"{target} = EPOCH + after(0, 0, n)"]


def _millis(target: str) -> Lines:
    return [*_LONG, f"{target} = EPOCH + after(0, 0, n * 1000)"]


def _boolean(target: str) -> Lines:
    return [f"{target} = boolean(raw, at)", "at += 1"]


def _float(target: str) -> Lines:
    return [f"{target} = float32(raw, at)[0]", "at += 4"]


def _double(target: str) -> Lines:
    return [f"{target} = float64(raw, at)[0]", "at += 8"]


def _fixed(length: Any) -> Into:
    if not isinstance(length, int) or length < 1:
        raise SchemaUnusable("a fixed has no size")
    return lambda target: [f"{target} = fixed(raw, at, {length})", f"at += {length}"]


_PRIMITIVE: Mapping[str, Into] = {
    "boolean": _boolean,
    "int": _long,
    "long": _long,
    "float": _float,
    "double": _double,
    "bytes": _bytes,
    "string": _string,
}
_LOGICAL: Mapping[tuple[Any, Any], Into] = {
    ("string", "json"): _json,
    ("long", "timestamp-micros"): _micros,
    ("long", "timestamp-millis"): _millis,
}
