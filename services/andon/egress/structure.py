"""The structure of a card: which fields it has, what may stand in each, and where people look first.

A channel declares its structured kinds as `structures: ClassVar[Mapping[str, Structure]]`. A template of such a kind is
plain YAML whose texts are Jinja2; the structure is the file's, so that no data can forge a button or a link. What is
wrong is found twice by the same code: in the file before anything is sent, when texts that hold Jinja2 are *open* and
not judged, and in what was rendered.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from andon.config.mistakes import hint

Way = tuple[str | int, ...]
"""The way to a value: keys of maps and positions in lists."""


class Problem(NamedTuple):
    """What is wrong, and where. `too_long` marks what could be right if it were shorter."""

    way: Way
    text: str
    too_long: bool = False


class Text(msgspec.Struct, frozen=True):
    """A text of at most `most` UTF-8 bytes, 0 for any; with `markdown` values are escaped for markdown."""

    most: int = 0
    markdown: bool = False


class Url(msgspec.Struct, frozen=True):
    """An address with one of these schemes."""

    most: int = 0
    schemes: tuple[str, ...] = ("http", "https")


class Person(msgspec.Struct, frozen=True):
    """The id of somebody who is called by name. Everybody (`all`) only where the file says so itself."""


class Number(msgspec.Struct, frozen=True):
    """A number within bounds."""

    least: float
    most: float
    whole: bool = True


class Choice(msgspec.Struct, frozen=True):
    """One of these values."""

    values: tuple[str | int | bool, ...]


class File(msgspec.Struct, frozen=True):
    """The name of a file beside andon.yaml, of at most `most` bytes, that begins as one of `begins`; never open."""

    most: int
    least: int = 1
    begins: tuple[bytes, ...] = ()
    what: str = "file"


class Items(msgspec.Struct, frozen=True):
    """A list of `least` to `most` entries."""

    of: Shape
    most: int
    least: int = 1


class Fields(msgspec.Struct, frozen=True):
    """A map with the keys of `required` and any of `optional`; `rule` looks at the whole of it."""

    required: Mapping[str, Shape]
    optional: Mapping[str, Shape] = {}
    rule: Callable[[Mapping[str, Any]], Iterator[Problem]] | None = None

    def of(self, key: str) -> Shape | None:
        return self.required.get(key) or self.optional.get(key)


class Forms(msgspec.Struct, frozen=True):
    """A map of the form that the value of `key` names, which the file writes out; "" where `key` is not there."""

    key: str
    forms: Mapping[str, Fields]


Leaf = Text | Url | Person | Number | Choice | File
Shape = Leaf | Items | Fields | Forms


class Structure(msgspec.Struct, frozen=True):
    """One structured kind: its shape, the bytes its JSON may have, and the ways to the texts people see first.

    Before the first of `marks` that is there goes the mark of a possible repeat; where none is, a text of its own
    goes before the whole.
    """

    shape: Shape
    most: int
    marks: tuple[Way, ...] = ()


def needs_file(shape: Shape) -> bool:
    """Whether a card of this shape names a file."""
    return isinstance(shape, Fields) and any(isinstance(one, File) for one in shape.required.values())


def is_open(value: Any) -> bool:
    """Whether a text holds Jinja2, so that it is known only when it is rendered."""
    return isinstance(value, str) and any(sign in value for sign in ("{{", "{%", "{#"))


def leaves(shape: Shape | None, value: Any, way: Way = ()) -> Iterator[tuple[Way, str, Leaf]]:
    """Every open text that has a place in the shape."""
    match shape:
        case Items() if isinstance(value, list):
            for index, one in enumerate(value):
                yield from leaves(shape.of, one, (*way, index))
        case Fields() if isinstance(value, dict):
            for key, one in value.items():
                yield from leaves(shape.of(key), one, (*way, key))
        case Forms() if isinstance(value, dict):
            yield from leaves(shape.forms.get(str(value.get(shape.key, ""))), value, way)
        case Text() | Url() | Person() | Number() | Choice() if is_open(value):
            yield way, value, shape


def read(leaf: Leaf, text: str) -> Any:
    """What a rendered text stands for where a number or a choice is wanted."""
    if isinstance(leaf, Number) or (isinstance(leaf, Choice) and not isinstance(leaf.values[0], str)):
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        try:
            return int(text)
        except ValueError:
            pass
        try:
            return float(text)
        except ValueError:
            pass
    return text


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
    if shape.begins and not beginning.startswith(shape.begins):
        yield f"`{value}` is no {shape.what}"


def fits(structure: Structure, value: Any) -> bool:
    """Whether a rendered value is still one the vendor takes."""
    whole = len(msgspec.json.encode(value))
    return not (structure.most and whole > structure.most) and next(problems(structure.shape, value), None) is None


def marked(structure: Structure, value: Any, mark: str) -> bool:
    """Puts `mark` before the text that people see first; False when there is none."""
    for way in structure.marks:
        holder = value
        try:
            for step in way[:-1]:
                holder = holder[step]
            text = holder[way[-1]]
        except (KeyError, IndexError, TypeError):
            continue
        if isinstance(text, str):
            holder[way[-1]] = mark + text
            return True
    return False
