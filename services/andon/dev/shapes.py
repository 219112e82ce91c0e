"""How stand-ins look at a body field by field: a check gives the texts a person would see, or raises Wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

Check = Callable[[Any, str], list[str]]


class Wrong(Exception):  # noqa: N818 - the finding about a body, not an error of ours
    """A field is not as the vendor wants it; `where` is its dotted path."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where}: {what}")
        self.where = where
        self.what = what


def text(value: Any, where: str) -> list[str]:
    """A text with something in it; people see it."""
    if not isinstance(value, str) or not value.strip():
        raise Wrong(where, "is empty or no text")
    return [value]


def hidden(value: Any, where: str) -> list[str]:
    """A text nobody sees."""
    text(value, where)
    return []


def short(most: int, *, characters: bool = False) -> Check:
    """A text nobody sees, of at most so many bytes, or characters."""

    def check(value: Any, where: str) -> list[str]:
        text(value, where)
        if len(value if characters else value.encode()) > most:
            raise Wrong(where, f"exceed max length {most}")
        return []

    return check


def cut(most: int, *, characters: bool = False) -> Check:
    """A text of which people see so many bytes, or characters, and no more."""

    def check(value: Any, where: str) -> list[str]:
        text(value, where)
        return [value[:most] if characters else value.encode()[:most].decode(errors="ignore")]

    return check


def url(value: Any, where: str) -> list[str]:
    """An address with a scheme."""
    if not isinstance(value, str) or not urlsplit(value).scheme or not urlsplit(value).netloc:
        raise Wrong(where, "is no url with a scheme")
    return []


def link(most: int) -> Check:
    """An address with a scheme, of at most so many bytes."""

    def check(value: Any, where: str) -> list[str]:
        url(value, where)
        return short(most)(value, where)

    return check


def one_of(*values: Any) -> Check:
    """One of these values, of the same type."""

    def check(value: Any, where: str) -> list[str]:
        if not any(value == known and type(value) is type(known) for known in values):
            raise Wrong(where, "has a value that is not known")
        return []

    return check


def flag(value: Any, where: str) -> list[str]:
    """True or false."""
    return one_of(True, False)(value, where)


def number(least: float, most: float) -> Check:
    """A number within bounds."""

    def check(value: Any, where: str) -> list[str]:
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise Wrong(where, "is no number in the range")
        return []

    return check


def fields(
    required: Mapping[str, Check], optional: Mapping[str, Check] | None = None, rule: Check | None = None
) -> Check:
    """A map with these keys and no other; `rule` looks at the whole afterwards."""
    known = {**required, **(optional or {})}

    def check(value: Any, where: str) -> list[str]:
        if not isinstance(value, dict):
            raise Wrong(where, "is no map")
        for key in required:
            if key not in value:
                raise Wrong(f"{where}.{key}", "is missing")
        seen: list[str] = []
        for key, inner in value.items():
            if key not in known:
                raise Wrong(f"{where}.{key}", "is not known")
            seen += known[key](inner, f"{where}.{key}")
        return seen + (rule(value, where) if rule else [])

    return check


def items(of: Check, least: int, most: int) -> Check:
    """A list of so many entries."""

    def check(value: Any, where: str) -> list[str]:
        if not isinstance(value, list) or not least <= len(value) <= most:
            raise Wrong(where, f"is no list of {least} to {most}")
        return [seen for index, one in enumerate(value) for seen in of(one, f"{where}[{index}]")]

    return check


def distinct(name: str, key: str) -> Check:
    """No two entries of the list `name` have the same `key`."""

    def check(value: Any, where: str) -> list[str]:
        known = [entry[key] for entry in value.get(name, ()) if key in entry]
        if len(set(known)) < len(known):
            raise Wrong(f"{where}.{name}", f"has the same {key} twice")
        return []

    return check


def by(key: str, forms: Mapping[str, Check]) -> Check:
    """A map of the form that the value of `key` names."""

    def check(value: Any, where: str) -> list[str]:
        name = value.get(key) if isinstance(value, dict) else None
        if not isinstance(name, str) or name not in forms:
            raise Wrong(f"{where}.{key}", "has a value that is not known")
        return forms[name](value, where)

    return check
