"""What a reader with one JSON Schema makes of what another has written: the rules by which msgspec decodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_NO_DEFAULT = object()


def unread_json(reader: Any, writer: Any) -> list[str]:
    """Why the reader cannot read what the writer writes, a sentence for each place; empty when it can.

    Of JSON Schema it knows what msgspec makes: objects, maps, arrays, anyOf, enum, const, formats and references.
    """
    pair = _Pair(reader.get("$defs", {}), writer.get("$defs", {}))
    return list(dict.fromkeys(pair.breaks(reader, writer, "")))


class _Pair:
    def __init__(self, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
        self._ours = ours
        self._theirs = theirs

    def breaks(self, reader: Any, writer: Any, at: str) -> Iterator[str]:
        reader, writer = _resolved(reader, self._ours), _resolved(writer, self._theirs)
        if not _constraints(reader):
            return
        if not _constraints(writer):
            yield f"{at or 'it'}: anything is not read as {_shown(reader)}"
        elif "anyOf" in writer:
            for branch in writer["anyOf"]:
                yield from self.breaks(reader, branch, at)
        elif "anyOf" in reader:
            if all(list(self.breaks(branch, writer, at)) for branch in reader["anyOf"]):
                yield f"{at or 'it'}: no alternative takes {_shown(writer)}"
        elif "enum" in reader or "enum" in writer:
            yield from _words(reader, writer, at)
        elif not _takes(reader, writer):
            yield f"{at or 'it'}: {_shown(writer)} is not read as {_shown(reader)}"
        elif "items" in reader:
            yield from self.breaks(reader["items"], writer.get("items", {}), f"{at}[]")
        elif _kind(reader) == "object":
            yield from self._object(reader, writer, at)

    def _object(self, reader: Any, writer: Any, at: str) -> Iterator[str]:
        ours, theirs = reader.get("properties", {}), writer.get("properties", {})
        surely = writer.get("required", ())
        others = reader.get("additionalProperties", True)
        for name in reader.get("required", ()):
            if name not in surely:
                yield f"{_below(at, name)}: it may be missing, and there is no default"
        for name, part in theirs.items():
            place = _below(at, name)
            if name in ours:
                yield from self.breaks(ours[name], part, place)
                yield from _defaults(ours[name], part, place)
            elif others is False:
                yield f"{place}: the field is not known, and unknown fields are refused"
            elif isinstance(others, dict):
                yield from self.breaks(others, part, place)
        more = writer.get("additionalProperties", True)
        if isinstance(others, dict) and not ours:
            yield from self.breaks(others, more if isinstance(more, dict) else {}, f"{at}[]")


def _defaults(reader: Any, writer: Any, at: str) -> Iterator[str]:
    """A field that has its default is not written, so another default would change what was said."""
    ours, theirs = reader.get("default", _NO_DEFAULT), writer.get("default", _NO_DEFAULT)
    if theirs is not _NO_DEFAULT and ours is not _NO_DEFAULT and ours != theirs:
        yield f"{at}: what is not written means {theirs!r}, and is read as {ours!r}"


def _words(reader: Any, writer: Any, at: str) -> Iterator[str]:
    if "enum" not in reader:
        if _kind(reader) != "string" or "format" in reader:
            yield f"{at or 'it'}: {_shown(writer)} is not read as {_shown(reader)}"
    elif "default" not in reader:
        lacking = [word for word in writer.get("enum", ["any word"]) if word not in reader["enum"]]
        if lacking:
            yield f"{at or 'it'}: the word {lacking[0]} is not known, and there is no default"


def _resolved(schema: Any, named: Mapping[str, Any]) -> Any:
    """What a schema stands for; a tag is an enum of one word."""
    if "$ref" in schema:
        return _resolved(named[schema["$ref"].rpartition("/")[2]], named)
    if "const" in schema:
        return {"enum": [schema["const"]]}
    return schema


def _constraints(schema: Any) -> bool:
    return any(key in schema for key in ("type", "anyOf", "enum"))


def _kind(schema: Any) -> str:
    return str(schema.get("type", "string"))


def _takes(reader: Any, writer: Any) -> bool:
    """Whether a plain type is read as another; a reader's format must be the writer's too."""
    kinds = _kind(writer), _kind(reader)
    same = kinds[0] == kinds[1] or kinds == ("integer", "number")
    return same and reader.get("format") in (None, writer.get("format"))


def _below(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name


def _shown(schema: Any) -> str:
    return " ".join(filter(None, (_kind(schema), schema.get("format"))))
