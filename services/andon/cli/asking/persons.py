"""The names a person has: in the words of channels, and in the tables beside the configuration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from andon.config.published import Published

# The columns of a directory that name a person, in the words of those who keep such tables.
_NAMES = frozenset(
    {
        *("name", "userid", "user", "account", "mobile", "phone", "email", "mail", "unique_name", "employee_no"),
        *("姓名", "名字", "账号", "工号", "手机", "电话", "邮箱"),
    }
)


def names_of(person: Sequence[str], published: Published | None) -> frozenset[str]:
    """These names, and what the directory and the csv tables of the configuration have beside them as names of the same
    person. A table that is not here, or cannot be read, has none."""
    if published is None:
        return frozenset(person)
    named = frozenset(person).union(*_rows(frozenset(person), published))
    return named.union(*_people(named, published))


def listed(person: Sequence[str], published: Published | None) -> bool:
    """Whether the directory or a csv table of the configuration has somebody of these names."""
    names = frozenset(person)
    return published is not None and (any(_rows(names, published)) or any(_people(names, published)))


def _people(named: frozenset[str], published: Published) -> Iterator[frozenset[str]]:
    for person in published.tables.people:
        names = frozenset(filter(None, (person.id, *person.addresses.values())))
        if names & named:
            yield names


def _rows(person: frozenset[str], published: Published) -> Iterator[frozenset[str]]:
    from andon.config.sheet import TableError, read_rows

    for plug in published.settings.connectors.values():
        if plug.kind != "csv":
            continue
        try:
            rows = [row for _, row in read_rows(Path(published.directory) / str(plug.options["file"]), ())]
        except (TableError, KeyError):
            continue
        for row in rows:
            named = frozenset(value for column, value in row.items() if column.lower() in _NAMES and value)
            if named & person:
                yield named
