"""The past versions of each topic's schemas, and the gate that a new one has to pass.

`schemas/history/<topic>/<n>.json` and `<n>.avsc`, each numbered on its own. A topic's records stay for months, an
archive for longer, and while services are replaced one by one old and new ones read the same topics. So every version
must be read by every other: the log by today's code (backward), today's records by what still runs (forward), and the
archive by any (transitive).

Version 1 of the JSON form refused unknown fields and words. What came after it is not promised to its readers. The
first versions called a time text, although none that Andon makes was without a zone; they are taken at what they meant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from andon.kafka.avro.resolve import unread_avro
from andon.kafka.resolve import unread_json

_RULES: Mapping[str, Callable[[Any, Any], list[str]]] = {"json": unread_json, "avsc": unread_avro}
_CLOSED = {"json": 1, "avsc": 0}
_TIME = {"type": "string", "format": "date-time"}
_TIMES = frozenset({"at", "ended", "first", "last", "started", "time", "until"})
"""The times of the versions that did not say what they are."""


def versions(folder: Path, topic: str, suffix: str) -> dict[int, Any]:
    """Version → schema, oldest first; `suffix` is json or avsc."""
    files = {int(file.stem): file for file in (folder / "history" / topic).glob(f"*.{suffix}")}
    return {number: msgspec.json.decode(files[number].read_bytes()) for number in sorted(files)}


def refusals(today: Any, past: Mapping[int, Any], suffix: str) -> list[str]:
    """Why a schema may not follow these versions; empty when it may. Pure."""
    unread = _RULES[suffix]
    found = []
    for number, old in past.items():
        written = old if suffix != "json" or _tells_times(old) else _with_times(old)
        found += [f"version {number} is not read any more: {why}" for why in unread(today, written)]
        if number > _CLOSED[suffix]:
            found += [f"readers of version {number} cannot read it: {why}" for why in unread(old, today)]
    return found


def _tells_times(part: Any) -> bool:
    if isinstance(part, dict):
        return part.get("format") == _TIME["format"] or any(map(_tells_times, part.values()))
    return isinstance(part, list) and any(map(_tells_times, part))


def _with_times(part: Any, *, time: bool = False) -> Any:
    """A schema in which text is said to be a time where it was one."""
    if isinstance(part, list):
        return [_with_times(one, time=time) for one in part]
    if not isinstance(part, dict):
        return part
    if time and part == {"type": "string"}:
        return _TIME
    return {
        key: {name: _with_times(of, time=name in _TIMES) for name, of in one.items()}
        if key == "properties"
        else _with_times(one, time=time and key == "anyOf")
        for key, one in part.items()
    }
