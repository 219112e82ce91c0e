"""Reads the directory: the table of people that receivers like `role:设备经理` are looked up in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from andon.config.computed import MANAGER_OF
from andon.config.plugs import CONNECTORS, PlugChecker, PlugUnusable
from andon.config.receivers import DirectoryTable
from andon.config.references import asking, entries
from andon.config.shapes import Found
from andon.config.sheet import TableError
from andon.core.failure import Failure
from andon.core.paths import text_of
from andon.core.people import Person, means_everybody
from andon.core.ports import ReadsWhole

_BETWEEN = re.compile(r"[;；,，、]")
_DEEPEST = 16

Row = Mapping[str, Any]
ReadPeople = tuple[tuple[Person, ...], tuple[Found, ...], tuple[Path, ...]]


def read_people(data: Any, folder: Path, plugs: PlugChecker) -> ReadPeople:
    """The people, what is wrong, and the files they stand in; nothing of it while no receiver asks who is who."""
    asked = list(asking(data))
    if not asked:
        return (), (), ()
    try:
        columns = DirectoryTable.model_validate(entries(data, "directory"))
    except ValidationError:
        return (), (), ()  # said by the shape
    named = entries(data, "connectors", columns.connector)
    if not named:
        text = f"who is who, the connector `{columns.connector}` must say: there is none under `connectors`"
        return (), (Found(asked[0][0], text),), ()
    table = _table(named, plugs)
    place = ("connectors", columns.connector)
    if table is None:
        return (), (), ()  # its own mistakes are said elsewhere
    if not isinstance(table, ReadsWhole):
        return (), (Found((*place, "kind"), "a directory is read as a whole, which this kind cannot be"),), ()
    try:
        needed = _needed([entry for _, entry in asked], columns)
        return tuple(_people(table.rows(folder), columns, needed)), (), tuple(table.files(folder))
    except (TableError, Failure) as problem:
        return (), (Found(place, f"the directory cannot be read: {problem}"),), tuple(table.files(folder))


def _needed(asked: Sequence[str], columns: DirectoryTable) -> dict[str, str]:
    """The columns that must be there, each with the key of `directory` that names it."""
    named = {"department": columns.department, "role": columns.role, "shift": columns.shift}
    named = {word: column for word, column in named.items() if any(f"{word}:" in entry for entry in asked)}
    if any(entry.startswith(f"{MANAGER_OF}:") for entry in asked):
        named["manager"] = columns.manager
    kinds = {f"addresses.{kind}": column for kind, column in columns.addresses.items()}
    return {column: key for key, column in ({"id": columns.id} | named | kinds).items()}


def _table(named: Mapping[str, Any], plugs: PlugChecker) -> object | None:
    kind = named.get("kind")
    if not isinstance(kind, str) or kind not in plugs.kinds(CONNECTORS):
        return None
    try:
        config: object = plugs.config_type(CONNECTORS, kind).model_validate(
            {key: value for key, value in named.items() if key != "kind"}
        )
    except (PlugUnusable, ValidationError):
        return None
    return config


def _people(rows: Iterator[Row], columns: DirectoryTable, needed: Mapping[str, str]) -> Iterator[Person]:
    seen: set[str] = set()
    for number, row in enumerate(rows, 1):
        if absent := next((column for column in needed if column not in row), None):
            raise TableError(f"there is no column '{absent}'; `directory.{needed[absent]}` says which one it is")
        person = (text_of(row[columns.id]) or "").strip()
        if not person:
            raise TableError(f"entry {number} has nothing in the column '{columns.id}'")
        if person in seen:
            raise TableError(f"'{person}' appears a second time (entry {number})")
        seen.add(person)
        managers = _several(row, columns.manager)
        addresses = {kind: (text_of(row.get(column)) or "").strip() for kind, column in columns.addresses.items()}
        if everybody := next(filter(means_everybody, (person, *managers, *addresses.values())), None):
            raise TableError(f"'{everybody}' (entry {number}) is nobody's name: it would call everybody")
        yield Person(
            person,
            _several(row, columns.department),
            _several(row, columns.role),
            _several(row, columns.shift),
            managers,
            addresses,
        )
    if not seen:
        raise TableError("it has no rows")


def _several(row: Row, column: str) -> tuple[str, ...]:
    text = text_of(row.get(column)) or ""
    found = tuple(filter(None, (part.strip() for part in _BETWEEN.split(text))))
    if deep := next((part for part in found if part.count("/") >= _DEEPEST), None):
        raise TableError(f"'{deep[:40]}…' has more than {_DEEPEST} steps")
    return found
