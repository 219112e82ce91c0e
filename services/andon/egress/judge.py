"""What is wrong with a card: the one judge of templates before anything is sent, and of what was rendered."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from andon.config.mistakes import hint
from andon.egress.structure import (
    Choice,
    Fields,
    File,
    Forms,
    Items,
    Number,
    Person,
    Problem,
    Shape,
    Structure,
    Text,
    Url,
    Way,
    is_open,
)


def problems(shape: Shape, value: Any, folder: Path | None = None, way: Way = ()) -> Iterator[Problem]:
    """Everything that is wrong with a value. Files are looked at when `folder` is given."""
    match shape:
        case Fields():
            yield from _of_fields(shape, value, folder, way)
        case Forms():
            yield from _of_forms(shape, value, folder, way)
        case Items():
            yield from _of_items(shape, value, folder, way)
        case File():
            yield from (Problem(way, text) for text in _of_file(shape, value, folder))
        case Url() if is_open(value):
            # What stands before the first expression says as much as a whole address.
            yield from _of_beginning(shape, value, way)
        case _ if is_open(value):
            return
        case _:
            yield from _of_leaf(shape, value, way)


def _of_fields(shape: Fields, value: Any, folder: Path | None, way: Way) -> Iterator[Problem]:
    if not isinstance(value, dict):
        yield Problem(way, "must be a map (`key: value`)")
        return
    for key in shape.required:
        if key not in value:
            yield Problem(way, f"`{key}` is missing")
    for key, one in value.items():
        inner = shape.of(key)
        if inner is None:
            yield Problem((*way, key), f"unknown key `{key}`{hint(key, [*shape.required, *shape.optional])}")
        else:
            yield from problems(inner, one, folder, (*way, key))
    if shape.rule is not None:
        for found in shape.rule(value):
            yield found._replace(way=(*way, *found.way))


def _of_forms(shape: Forms, value: Any, folder: Path | None, way: Way) -> Iterator[Problem]:
    if not isinstance(value, dict):
        yield Problem(way, "must be a map (`key: value`)")
        return
    name = value.get(shape.key, "")
    form = shape.forms.get(name) if isinstance(name, str) else None
    if form is not None:
        yield from problems(form, value, folder, way)
    elif shape.key not in value:
        yield Problem(way, f"`{shape.key}` is missing")
    elif str(name) in shape.forms:
        yield Problem((*way, shape.key), f'`{shape.key}` must be text: write `"{name}"`, in quotes')
    else:
        known = [form for form in shape.forms if form]
        text = "must be written out, not computed" if is_open(name) else f"is not known{hint(str(name), known)}"
        yield Problem((*way, shape.key), f"`{shape.key}` {text}")


def _of_items(shape: Items, value: Any, folder: Path | None, way: Way) -> Iterator[Problem]:
    if not isinstance(value, list):
        yield Problem(way, "must be a list")
        return
    if not shape.least <= len(value) <= shape.most:
        wanted = f"at least {shape.least}" if len(value) < shape.least else f"at most {shape.most}"
        yield Problem(way, f"takes {wanted} entries, not {len(value)}")
    for index, one in enumerate(value):
        yield from problems(shape.of, one, folder, (*way, index))


def _of_leaf(shape: Shape, value: Any, way: Way) -> Iterator[Problem]:
    match shape:
        case Text() | Url() | Person():
            yield from _of_text(shape, value, way)
        case Number():
            fits = isinstance(value, int | float) and not isinstance(value, bool) and shape.least <= value <= shape.most
            if not fits or (shape.whole and not isinstance(value, int)):
                whole = "whole " if shape.whole else ""
                yield Problem(way, f"must be a {whole}number from {shape.least:g} to {shape.most:g}")
        case Choice():
            if not any(value == one and type(value) is type(one) for one in shape.values):
                yield Problem(way, f"must be {', '.join(map(_shown, shape.values))}")


def _shown(value: str | int | bool) -> str:
    if isinstance(value, str):
        return f'`"{value}"`' if value.isdecimal() else f"`{value}`"
    return str(value).lower()


def _of_text(shape: Text | Url | Person, value: Any, way: Way) -> Iterator[Problem]:
    if not isinstance(value, str):
        yield Problem(way, "must be text; put it in quotes")
    elif not value.strip():
        yield Problem(way, "is empty")
    elif isinstance(shape, Person):
        if not re.fullmatch(r"[\w@.\-]{1,64}", value):
            yield Problem(way, "is no id of a person")
    else:
        if isinstance(shape, Url) and not _is_url(shape, value):
            yield Problem(way, f"must be an address that begins with {_schemes(shape)}")
        if shape.most and len(value.encode()) > shape.most:
            yield Problem(way, f"has {len(value.encode()):,} bytes, the vendor takes {shape.most:,}; shorten it", True)
        if isinstance(shape, Text) and 0 < shape.characters < len(value):
            text = f"has {len(value):,} characters, the vendor takes {shape.characters:,}; shorten it"
            yield Problem(way, text, True)


def _is_url(shape: Url, value: str) -> bool:
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in shape.schemes and bool(parts.netloc) and not re.search(r"\s", value)


def _of_beginning(shape: Url, value: str, way: Way) -> Iterator[Problem]:
    beginning = re.split(r"\{[{%#]", value, maxsplit=1)[0]
    starts = [f"{scheme}://" for scheme in shape.schemes]
    if beginning and not any(beginning.startswith(start) or start.startswith(beginning) for start in starts):
        yield Problem(way, f"must be an address that begins with {_schemes(shape)}")


def _schemes(shape: Url) -> str:
    return " or ".join(f"{scheme}://" for scheme in shape.schemes)


def _of_file(shape: File, value: Any, folder: Path | None) -> Iterator[str]:
    if not isinstance(value, str) or not value.strip() or is_open(value):
        yield f"must be the name of a {shape.what} beside andon.yaml, written out"
        return
    if folder is None:
        return
    path = (folder / value).resolve()
    if not path.is_relative_to(folder.resolve()):
        yield f"`{value}` lies outside of the configuration's folder"
        return
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            beginning = stream.read(16)
    except OSError as error:
        yield f"`{value}` cannot be read ({error.strerror})"
        return
    if not shape.least <= size <= shape.most:
        yield f"`{value}` has {size:,} bytes; the vendor takes {shape.least:,} to {shape.most:,}"
    if shape.begins and not beginning.startswith(shape.begins, shape.at):
        yield f"`{value}` is no {shape.what}"


def fits(structure: Structure, value: Any) -> bool:
    """Whether a rendered value is still one the vendor takes."""
    whole = len(msgspec.json.encode(value))
    return not (structure.most and whole > structure.most) and next(problems(structure.shape, value), None) is None
