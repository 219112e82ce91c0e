"""The Avro schema of a record type of ours: the same msgspec types that the JSON Schemas are made of.

| ours | Avro |
|---|---|
| record | record, namespace `andon`; one that is told apart by a tag has the tag as an enum of one word |
| `X \\| None` | union of null and X, default null |
| several records | union of them |
| datetime | long, `timestamp-micros` |
| UUID | string, `uuid` |
| StrEnum | enum; its default, for who does not know a word yet, is the word its `_missing_` gives |
| map of texts | map of string |
| anything (`data`, `facts`) | string, `json`: JSON text, which any number, null and nesting comes back from |
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import msgspec
from msgspec import inspect

SPACE = "andon"
JSON_TEXT = {"type": "string", "logicalType": "json"}
_EMPTY = "{ }"  # with a blank: Apicurio 3.0 takes no schema with the text {} in it
_PLAIN: dict[type[inspect.Type], Any] = {
    inspect.StrType: "string",
    inspect.IntType: "long",
    inspect.FloatType: "double",
    inspect.BoolType: "boolean",
    inspect.BytesType: "bytes",
    inspect.NoneType: "null",
    inspect.DateTimeType: {"type": "long", "logicalType": "timestamp-micros"},
    inspect.UUIDType: {"type": "string", "logicalType": "uuid"},
}


def avro_schema(kind: Any) -> dict[str, Any]:
    """The schema of a record type. Raises TypeError for a type that has no place in a record."""
    found = _Deriving().of(inspect.type_info(kind))
    if not isinstance(found, dict):
        raise TypeError(f"{kind} is no record")
    return found


class _Deriving:
    """Writes each named type out where it comes first, and by its name from there on."""

    def __init__(self) -> None:
        self._named: set[str] = set()

    def of(self, kind: inspect.Type) -> Any:
        if type(kind) in _PLAIN:
            return _PLAIN[type(kind)]
        match kind:
            case inspect.StructType():
                return self._record(kind)
            case inspect.EnumType():
                return self._enum(kind.cls)
            case inspect.UnionType():
                return [self.of(one) for one in sorted(kind.types, key=lambda one: not _is_null(one))]
            case inspect.VarTupleType() | inspect.ListType():
                return {"type": "array", "items": self.of(kind.item_type)}
            case inspect.DictType() if not isinstance(kind.value_type, inspect.AnyType):
                return {"type": "map", "values": self.of(kind.value_type)}
            case inspect.DictType() | inspect.AnyType():
                return JSON_TEXT
        raise TypeError(f"{kind} has no Avro form")

    def _record(self, kind: inspect.StructType) -> Any:
        name = kind.cls.__name__
        if name in self._named:
            return f"{SPACE}.{name}"
        self._named.add(name)
        fields = [self._field(field) for field in kind.fields]
        if kind.tag_field:
            tag = {"type": "enum", "name": f"{name}{kind.tag_field.capitalize()}", "symbols": [kind.tag]}
            fields.insert(0, {"name": kind.tag_field, "type": tag})
        return {"type": "record", "name": name, "namespace": SPACE, "fields": fields}

    def _field(self, field: inspect.Field) -> dict[str, Any]:
        made = {"name": field.encode_name, "type": self.of(field.type)}
        if field.required:
            return made
        default = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
        plain = msgspec.json.decode(msgspec.json.encode(default))
        return made | {"default": _EMPTY if made["type"] == JSON_TEXT else plain}

    def _enum(self, kind: type[Enum]) -> Any:
        name = kind.__name__
        if name in self._named:
            return f"{SPACE}.{name}"
        self._named.add(name)
        made = {"type": "enum", "name": name, "namespace": SPACE, "symbols": [one.value for one in kind]}
        default = unknown_word(kind)
        return made if default is None else made | {"default": default}


def unknown_word(kind: type[Enum]) -> str | None:
    """The word that stands for one this enum does not know; None when it takes none."""
    try:
        return str(kind("a word that is no member").value)
    except ValueError:
        return None


def _is_null(kind: inspect.Type) -> bool:
    return isinstance(kind, inspect.NoneType)
