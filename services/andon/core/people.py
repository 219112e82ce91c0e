"""Who is who: the people that computed receivers (`role:设备经理`) are looked up among."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum

import msgspec

_EVERYBODY = ("all", "所有人", "party:1")  # and the department above all others in WeCom


def means_everybody(text: str) -> bool:
    """Whether it could, to any vendor: a channel takes off an @ of its own."""
    return text.strip().lstrip("@").strip().lower() in _EVERYBODY


class Trait(StrEnum):
    """What people can be named by."""

    DEPARTMENT = "department"
    ROLE = "role"
    SHIFT = "shift"


class Person(msgspec.Struct, frozen=True, omit_defaults=True):
    """A row of the directory. `departments` are paths (`苏州一厂/采购部`), `managers` are ids.

    `addresses` holds what a kind of channel calls the person, where that is not the id; an empty one says that this
    kind cannot reach the person.
    """

    id: str
    departments: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    shifts: tuple[str, ...] = ()
    managers: tuple[str, ...] = ()
    addresses: dict[str, str] = {}


class Directory:
    """The people of a configuration version, indexed once. Answers keep the order of the table."""

    __slots__ = ("_by_id", "_having")

    def __init__(self, people: Sequence[Person]) -> None:
        self._by_id = {person.id: person for person in people}
        self._having: dict[tuple[str, str], dict[str, None]] = {}
        for person in people:
            for trait, value in _traits(person):
                self._having.setdefault((trait, value), {})[person.id] = None

    def __contains__(self, person: str) -> bool:
        return person in self._by_id

    def having(self, trait: Trait, value: str) -> tuple[str, ...]:
        """The ids of all with this role, or on this shift, or in this department or one below it."""
        return tuple(self._having.get((trait, value), ()))

    def managers(self, person: str) -> tuple[str, ...]:
        """The ids of whom a person reports to; () for one who is not there."""
        found = self._by_id.get(person)
        return found.managers if found else ()

    def address(self, person: str, kind: str) -> str:
        """What this kind of channel calls a person; "" when it cannot reach them. Of one who is not there, the id."""
        found = self._by_id.get(person)
        return found.addresses.get(kind, person) if found else person


def _traits(person: Person) -> Iterator[tuple[str, str]]:
    for path in person.departments:
        steps = path.split("/")
        for begin in range(len(steps)):
            for end in range(begin + 1, len(steps) + 1):
                yield Trait.DEPARTMENT, "/".join(steps[begin:end])
    for role in person.roles:
        yield Trait.ROLE, role
    for shift in person.shifts:
        yield Trait.SHIFT, shift
