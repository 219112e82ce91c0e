"""What a reader with one Avro schema makes of what another has written: the resolution rules of the specification.

Two are stricter here, because our readers are: aliases do not count, and a logical type is part of the type.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Names = Mapping[str, Any]

# Writer → readers that take it all the same.
_PROMOTED = {
    "int": {"long", "float", "double"},
    "long": {"float", "double"},
    "float": {"double"},
}


def unread_avro(reader: Any, writer: Any) -> list[str]:
    """Why the reader cannot read what the writer writes, a sentence for each place; empty when it can."""
    pair = _Pair(_names(reader), _names(writer))
    return list(dict.fromkeys(pair.breaks(reader, writer, "")))


def _names(schema: Any) -> dict[str, Any]:
    """Every type of a schema that has a name, by its full name."""
    found: dict[str, Any] = {}

    def look(part: Any, space: str) -> None:
        if isinstance(part, list):
            for one in part:
                look(one, space)
        elif isinstance(part, dict):
            inner = part.get("namespace", space)
            if "name" in part and part.get("type") in ("record", "enum", "fixed"):
                found[f"{inner}.{part['name']}" if inner else part["name"]] = part
            for key in ("type", "items", "values", "fields"):
                look(part.get(key), inner)

    look(schema, "")
    return found


class _Pair:
    def __init__(self, ours: Names, theirs: Names) -> None:
        self._ours = ours
        self._theirs = theirs
        self._open: set[tuple[str, str]] = set()

    def breaks(self, reader: Any, writer: Any, at: str) -> Iterator[str]:
        reader, writer = _resolved(reader, self._ours), _resolved(writer, self._theirs)
        if isinstance(writer, list):
            for branch in writer:
                yield from self.breaks(reader, branch, at)
        elif isinstance(reader, list):
            if all(list(self.breaks(branch, writer, at)) for branch in reader):
                yield f"{at or 'it'}: no branch of the union takes {_shown(writer)}"
        else:
            yield from self._same_kind(reader, writer, at)

    def _same_kind(self, reader: Any, writer: Any, at: str) -> Iterator[str]:
        ours, theirs = _kind(reader), _kind(writer)
        logical = _logical(reader), _logical(writer)
        if logical[0] != logical[1] or (ours != theirs and ours not in _PROMOTED.get(theirs, ())):
            yield f"{at or 'it'}: {_shown(writer)} is not read as {_shown(reader)}"
        elif ours in ("record", "enum", "fixed") and reader["name"] != writer["name"]:
            yield f"{at or 'it'}: the name {writer['name']} is not {reader['name']}"
        elif ours == "record":
            yield from self._record(reader, writer, at)
        elif ours == "enum":
            lacking = [word for word in writer["symbols"] if word not in reader["symbols"]]
            if lacking and "default" not in reader:
                yield f"{at or 'it'}: the word {lacking[0]} is not known, and there is no default"
        elif ours == "fixed" and reader["size"] != writer["size"]:
            yield f"{at or 'it'}: {writer['size']} bytes are not {reader['size']}"
        elif ours in ("array", "map"):
            key = "items" if ours == "array" else "values"
            yield from self.breaks(reader[key], writer[key], f"{at}[]")

    def _record(self, reader: Any, writer: Any, at: str) -> Iterator[str]:
        pair = reader["name"], at
        if pair in self._open:
            return
        self._open.add(pair)
        written = {field["name"]: field for field in writer["fields"]}
        for field in reader["fields"]:
            place = f"{at}.{field['name']}" if at else field["name"]
            if field["name"] in written:
                yield from self.breaks(field["type"], written[field["name"]]["type"], place)
            elif "default" not in field:
                yield f"{place}: it is not written, and there is no default"


def _resolved(schema: Any, names: Names) -> Any:
    if isinstance(schema, str):
        return names.get(schema, schema)
    if isinstance(schema, dict) and isinstance(schema.get("type"), dict | list):
        return _resolved(schema["type"], names)
    return schema


def _kind(schema: Any) -> str:
    return str(schema["type"] if isinstance(schema, dict) else schema)


def _logical(schema: Any) -> str | None:
    return schema.get("logicalType") if isinstance(schema, dict) else None


def _shown(schema: Any) -> str:
    return " ".join(filter(None, (_kind(schema), _logical(schema))))
