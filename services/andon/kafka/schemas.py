"""The schemas of the topic records, JSON and Avro, and their history.

`python -m andon.kafka.schemas schemas/` writes them anew; one that has changed becomes a new version, unless the gate
(`history`) refuses it. With `--check` before the folder it only says what is wrong. Exit 1 when something is.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from hashlib import sha256
from inspect import cleandoc
from pathlib import Path
from typing import Any

import msgspec

from andon.core.action import Action
from andon.core.delivery import Delivery
from andon.core.event import Event
from andon.core.outcome import OutcomeRecord
from andon.core.ticket import EpisodeRecord
from andon.kafka.avro.derive import avro_schema
from andon.kafka.history import refusals, versions
from andon.kafka.index import FIRST, Entry, Index
from andon.kafka.topics import ACTIONS, ACTIVE, DELIVERIES, ENRICHED, EVENTS, OUTCOMES, TICKETS

RECORDS: dict[str, Any] = {
    EVENTS: Event,
    ENRICHED: Event,
    DELIVERIES: Delivery,
    OUTCOMES: OutcomeRecord,
    TICKETS: EpisodeRecord,
    ACTIVE: EpisodeRecord,
    ACTIONS: Action,
}
"""Topic → the type of its values. `andon.dlq` holds the original bytes of any of them."""

SUFFIXES = ("json", "avsc")


def schema(topic: str, suffix: str = "json") -> str:
    """The JSON Schema (2020-12) or the Avro schema (avsc) of a topic's values, as it stands in `schemas/`."""
    avro = avro_schema(RECORDS[topic])
    if suffix == "avsc":
        return _text(avro)
    found = cleaned(msgspec.json.schema(RECORDS[topic]))
    for name, word in _unknown_words(avro):
        found["$defs"][name]["default"] = word
    return _text({"$schema": "https://json-schema.org/draft/2020-12/schema", "title": topic, **found})


def _text(found: Any) -> str:
    return json.dumps(found, indent=2) + "\n"


def _unknown_words(part: Any) -> Iterator[tuple[str, str]]:
    """Each enum with the word that stands for one it does not know, which msgspec's schemas do not tell."""
    if isinstance(part, list):
        for one in part:
            yield from _unknown_words(one)
    elif isinstance(part, dict):
        if part.get("type") == "enum" and "default" in part:
            yield part["name"], part["default"]
        for one in part.values():
            yield from _unknown_words(one)


def cleaned(part: Any) -> Any:
    """The same with every description free of its indentation, which Python keeps in docstrings before 3.13 only."""
    if isinstance(part, list):
        return [cleaned(one) for one in part]
    if not isinstance(part, dict):
        return part
    return {
        key: cleandoc(one) if key == "description" and isinstance(one, str) else cleaned(one)
        for key, one in part.items()
    }


def mistakes(folder: Path) -> list[str]:
    """What is wrong with a folder of schemas: files that are not what the types make, versions that the gate refuses,
    ids that do not mean what they meant."""
    found = []
    for topic in RECORDS:
        for suffix in SUFFIXES:
            name, today = f"{topic}.{suffix}", schema(topic, suffix)
            past = versions(folder, topic, suffix)
            found += [f"{name}: {why}" for why in refusals(json.loads(today), past, suffix)]
            if not (folder / name).exists() or (folder / name).read_text(encoding="utf-8") != today:
                found.append(f"{name} is not what the type makes")
            if not past or _said(past[max(past)]) != _said(json.loads(today)):
                found.append(f"{name} is not the newest version in history/{topic}")
            if list(past) != list(range(1, len(past) + 1)):
                found.append(f"a version is missing in history/{topic}")
    return found + _wrong_ids(folder)


def _wrong_ids(folder: Path) -> list[str]:
    """An id is given out once, and to every Avro version."""
    index = Index(folder)
    wrong = [
        f"schema {number}: {one.file} has another digest"
        for number, one in index.entries.items()
        if sha256((folder / one.file).read_bytes()).hexdigest() != one.sha256
    ]
    named = [one.file for one in index.entries.values()]
    files = [str(file.relative_to(folder)) for file in sorted(folder.glob("history/*/*.avsc"))]
    return wrong + [f"{file} has {named.count(file)} ids" for file in files if named.count(file) != 1]


def write(folder: Path) -> list[str]:
    """Writes every schema; what has changed becomes a new version with an id of its own. What is wrong afterwards."""
    for topic in RECORDS:
        for suffix in SUFFIXES:
            today = schema(topic, suffix)
            past = versions(folder, topic, suffix)
            if refusals(json.loads(today), past, suffix):
                continue
            (folder / f"{topic}.{suffix}").write_text(today, encoding="utf-8")
            if not past or _said(past[max(past)]) != _said(json.loads(today)):
                _add(folder, topic, suffix, max(past, default=0) + 1, today)
    return mistakes(folder)


def _said(part: Any) -> Any:
    """A schema without its descriptions, which may change without a new version."""
    if isinstance(part, list):
        return [_said(one) for one in part]
    if not isinstance(part, dict):
        return part
    return {key: _said(one) for key, one in part.items() if key != "description" or not isinstance(one, str)}


def _add(folder: Path, topic: str, suffix: str, number: int, text: str) -> None:
    file = folder / "history" / topic / f"{number}.{suffix}"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    if suffix == "avsc":
        listed = folder / "index.json"
        entries = Index(folder).entries if listed.exists() else {}
        entry = Entry(topic, number, str(file.relative_to(folder)), sha256(text.encode()).hexdigest())
        entries[max(entries, default=FIRST - 1) + 1] = entry
        listed.write_bytes(msgspec.json.format(msgspec.json.encode(entries)) + b"\n")


def main(arguments: list[str]) -> int:
    """What the command line says; the exit code."""
    folder = Path(arguments[-1])
    found = mistakes(folder) if "--check" in arguments else write(folder)
    sys.stdout.writelines(f"{one}\n" for one in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
